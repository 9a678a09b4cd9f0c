"""The admin REST API (not built yet)."""
