"""An S3 server in a process of its own, moto's, that can be told to fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import unescape

_FAULTS = "/faults"

# Nobody checks the signature; without one, what others wrote is out of reach.
HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
    "Content-Type": "application/octet-stream",
}


@dataclass(frozen=True)
class Fault:
    """What requests of a method and a path, both regular expressions, come to."""

    method: str
    path: str
    status: int = 0
    """HTTP status; 0: the answer ends in the middle, or never comes if that would be empty."""
    after: int = 0
    """So many requests of this kind are answered first."""
    times: int = 1 << 30
    """So many fail then."""


@dataclass(frozen=True)
class Bucket:
    """A bucket of the server."""

    endpoint: str
    """http://host:port"""
    name: str

    def url(self, key: str = "") -> str:
        """As tithe is given it; the endpoint is in AWS_ENDPOINT_URL."""
        return f"s3://{self.name}/{key}"

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        self._ask("PUT", f"/{self.name}/{quote(key)}", content)

    def get(self, key: str) -> bytes:
        """Read an object."""
        return self._ask("GET", f"/{self.name}/{quote(key)}")

    def objects(self) -> list[str]:
        """The keys of all objects."""
        listed = self._ask("GET", f"/{self.name}?list-type=2").decode()
        return [unescape(key) for key in re.findall("<Key>(.*?)</Key>", listed)]

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Let requests fail while the block runs."""
        self._ask("POST", _FAULTS, json.dumps([vars(fault) for fault in faults]).encode())
        try:
            yield
        finally:
            self._ask("POST", _FAULTS, b"[]")

    def make(self) -> None:
        """Make the bucket."""
        self._ask("PUT", f"/{self.name}", b"")

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.endpoint + path, content, HEADERS, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


@contextmanager
def serving() -> Iterator[str]:
    """The server while the block runs: its endpoint."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


class _Failing:
    """The server's application, behind faults."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._faults: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == _FAULTS:
            self._faults = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        for fault in self._faults:
            if re.fullmatch(fault["method"], method) and re.search(fault["path"], path):
                with self._lock:
                    fault["after"] -= 1
                    fails = -fault["times"] <= fault["after"] < 0
                if fails:
                    return self._failed(fault, environ, start_response)
        return self._application(environ, start_response)

    def _failed(self, fault: dict[str, Any], environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if fault["status"]:
            code = {403: "AccessDenied", 503: "SlowDown"}.get(fault["status"], "InternalError")
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            start_response(
                f"{fault['status']} {code}", [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))]
            )
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        content = b"".join(self._application(environ, start_response))
        return [content[: len(content) // 2]]


def main() -> None:
    """Serve until killed; print the port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application: Any = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, _Failing(application), threaded=True)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
