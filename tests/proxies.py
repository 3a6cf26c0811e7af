"""A proxy before a store's server, that hands requests on, and answers some of them as a bad server would."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """A whole answer of HTTP."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def with_header(self, name: str, value: str) -> Answer:
        """The same with another header."""
        others = [item for item in self.headers if item[0].lower() != name.lower()]
        return Answer(self.status, [*others, (name, value)], self.body)


@dataclass
class Asked:
    """A request, and what can be done about it."""

    method: str
    path: str
    """With the query."""
    headers: dict[str, str]
    body: bytes
    _proxy: Proxy
    _handler: BaseHTTPRequestHandler

    def real(self) -> Answer:
        """What the server says."""
        connection = HTTPConnection(self._proxy.server, timeout=60)
        try:
            # What came in chunks goes on in one.
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "expect")}
            connection.request(self.method, self.path, self.body, {**headers, "Content-Length": str(len(self.body))})
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def send(self, answer: Answer, body: bytes | None = None) -> None:
        """Answer; with another body than the headers speak of, where one is given."""
        handler = self._handler
        handler.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                handler.send_header(name, value)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(answer.body if body is None else body)
        handler.wfile.flush()

    def reset(self) -> None:
        """Cut the connection off."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def stall(self) -> None:
        """Say nothing more, until the proxy ends."""
        self._proxy.ended.wait()


Deed = Callable[[Asked], Any]
"""What is done about a request; returns False where it is none of its business."""


@dataclass
class Proxy:
    """The proxy; `asked` has what came to it."""

    server: str
    """host:port"""
    endpoint: str
    deed: Deed = lambda asked: False
    asked: list[Asked] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def proxying(server: str) -> Iterator[Proxy]:
    """A proxy before the server at a URL, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.close_connection = True
            asked = Asked(self.command, self.path, dict(self.headers.items()), _body(self), proxy, self)
            proxy.asked.append(asked)
            with suppress(OSError):
                if proxy.deed(asked) is False:
                    asked.send(asked.real())

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http:
        proxy = Proxy(urlsplit(server).netloc, f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            http.shutdown()
            thread.join()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    found = []
    while size := int(handler.rfile.readline(), 16):
        found.append(handler.rfile.read(size))
        handler.rfile.readline()
    while handler.rfile.readline().strip():
        pass  # trailers
    return b"".join(found)
