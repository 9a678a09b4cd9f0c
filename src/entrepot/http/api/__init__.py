"""The admin REST API: one file per noun, in Litestar."""
