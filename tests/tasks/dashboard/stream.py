"""The hub's side of a page's stream, played by the test."""

from __future__ import annotations

import itertools
import json
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from tasks import cursor
from tasks.database import database_now
from tasks.models import TaskEvent
from tasks.representation import event_json, moment


class Stream:
    """The server's end of the page's sockets. `heard` is what the page said, `errors` what it complained of."""

    def __init__(self, page: Page) -> None:
        self.heard: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.sockets: list[WebSocketRoute] = []
        self._numbers = itertools.count(1)
        page.route_web_socket("**/api/v1/**/stream*", self._accept)
        page.route_web_socket("**/api/v1/stream*", self._accept)
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda text: self.heard.append(json.loads(text)))
        self.say("hello", protocol=1, cursor="head", heartbeat_s=25)

    def say(self, type: str, **fields: Any) -> None:
        frame = {"type": type, "timestamp": moment(database_now())} | fields
        self.sockets[-1].send(json.dumps(frame))

    def tell(self) -> None:
        """Send all that the log holds, as a replay would: the page knows what it has."""
        for event in TaskEvent.objects.order_by("id"):
            self.sockets[-1].send(json.dumps(event_json(event, str(cursor.head()))))

    def drop(self, code: int) -> None:
        self.sockets[-1].close(code=code)
