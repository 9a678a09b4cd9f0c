"""The HTTP/1.1 server: plain ASGI above, sockets and sendfile below.

``Server(app).start(host, port)`` serves any ASGI 3 application over HTTP/1.1 and 1.0, with TLS or
without.  Three extensions are offered in ``scope["extensions"]``:

- ``http.response.zerocopysend``: bytes of an open file go to the socket inside the kernel.  Such
  events and ``http.response.body`` mix freely within one answer.
- ``entrepot.abort``: the event of this type ends the connection by a reset, for an answer that
  turned out wrong after it was begun.
- ``entrepot.at_hand``: behind a whole answer, the event of this type lets the server give it again
  by itself, to requests that are alike byte for byte and for as long as ``AtHand.begin`` says.
  Offered for requests that came before and do not end their connection; its ``body`` is the
  one that was sent.

Requests of one connection run one after another.  What a client sends ahead stays unread, so that
pipelining costs it time and the server nothing.
"""

from entrepot.http.server.asgi import (
    ASGIApp,
    ClientDisconnected,
    Message,
    Receive,
    ResponseInvalid,
    Scope,
    Send,
)
from entrepot.http.server.limits import Limits
from entrepot.http.server.messages import Refusal
from entrepot.http.server.sendfile import ShortFile
from entrepot.http.server.serve import Server

__all__ = [
    "ASGIApp",
    "ClientDisconnected",
    "Limits",
    "Message",
    "Receive",
    "Refusal",
    "ResponseInvalid",
    "Scope",
    "Send",
    "Server",
    "ShortFile",
]
