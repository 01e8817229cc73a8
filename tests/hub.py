"""A hub of real processes, as a user runs it, for tests that look at the whole."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.processes import PATIENCE, until
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent


class Hub:
    """`manage.py hub` with a data directory of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.port = free_port()
        self.log = home / "hub.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TASKHUB_ENV": "development",
            "TASKHUB_DATA": str(home),
            "TASKHUB_APPS": "demo,tests.app",
            "TASKHUB_WORKERS": "2",
            "PORT": str(self.port),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    # -- processes ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "hub"],
                env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until(lambda: self._is_ready() or (self.process and self.process.poll() is not None), "a hub that is ready")
        assert self.process.poll() is None, self.log.read_text()
        self.token = self.manage("token", "admin", "--scope", "submit", "read", "operate", "admin").split()[-1]

    def comes_back(self) -> None:
        """After a reload: ready again."""
        until(self._is_ready, "a hub that is ready again")

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def manage(self, *command: str) -> str:
        """What `manage.py COMMAND` prints."""
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *command], env=self.environment, check=True, capture_output=True,
            text=True, timeout=PATIENCE,
        ).stdout  # fmt: skip

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", "/readyz")[0] == 200
        return False

    # -- its doors ------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded body of an answer. Paths that begin with `/api` are asked with the admin's token."""
        status, _, answer = self.ask(method, path, body)
        return status, answer

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Message, Any]:
        """The same, with the headers of the answer; those of the request come as names."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        if path.startswith("/api"):
            sent["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read() or b"null")

    def submit(self, **task: Any) -> dict[str, Any]:
        status, body = self.request("POST", "/api/v1/tasks", task)
        assert status == 201, body
        return body

    def task(self, id: str) -> dict[str, Any]:
        return self.request("GET", f"/api/v1/tasks/{id}")[1]

    def act(self, id: str, verb: str) -> dict[str, Any]:
        status, body = self.request("POST", f"/api/v1/tasks/{id}/{verb}")
        assert status == 200, body
        return body

    def reaches(self, id: str, *statuses: str, patience: float = PATIENCE) -> dict[str, Any]:
        """The task, as soon as it is in one of `statuses`."""
        what = f"{id} to be {' or '.join(statuses)}"

        def there() -> dict[str, Any] | None:
            with contextlib.suppress(ConnectionError, http.client.HTTPException):  # a server that is being replaced
                task = self.task(id)
                return task if task["status"] in statuses else None
            return None

        return until(there, what, patience)

    @contextlib.contextmanager
    def stream(self, path: str = "/api/v1/tasks/stream") -> Iterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {self.token}"}
        with connect(f"ws://127.0.0.1:{self.port}{path}", additional_headers=headers, close_timeout=2) as socket:
            yield socket


def frames(
    socket: ClientConnection, task_id: str, until_status: str, on_frame: Callable[[dict[str, Any]], object] = id
) -> list[dict[str, Any]]:
    """The task's events, as they come, up to the one that brings it into `until_status`."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["status"] != until_status:
        frame = json.loads(socket.recv(PATIENCE))
        if frame.get("task_id") == task_id and frame["type"] in ("task_created", "task_updated"):
            on_frame(frame)
            heard.append(frame)
    return heard
