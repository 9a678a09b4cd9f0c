"""The faces of the program: /v2, /api, the pages to come, and the server under them."""
