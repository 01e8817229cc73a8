"""An HTTP receiver of callbacks at a test's command; it checks signatures with the specification's own package."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Receiver:
    """`answers` is the status of every answer; `verified` holds the payloads whose signature was good."""

    def __init__(self, secret: str) -> None:
        self.status = 200
        self.verified: list[Any] = []
        self.refused = 0
        self._webhook = Webhook(secret)

    def take(self, headers: dict[str, str], body: bytes) -> int:
        try:
            self._webhook.verify(body, headers)
        except Exception:
            self.refused += 1
            return 401
        if self.status == 200:
            self.verified.append(json.loads(body))
        return self.status

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Serve on a port of its own; yields the address."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b'{"received": true}')

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            server.server_close()
