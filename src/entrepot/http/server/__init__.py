"""The HTTP/1.1 server: plain ASGI above, sockets and sendfile below."""
