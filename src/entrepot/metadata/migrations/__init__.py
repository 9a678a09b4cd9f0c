"""How the schema came to be: numbered steps, run by Alembic when a database is opened."""
