"""The faces of the program: /v2 now, /api and the pages to come, and the server under them."""
