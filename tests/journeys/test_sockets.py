"""Sockets through the changes of a hub's life: who follows is told to come back, and does not have to find out."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.hub import Hub, frames
from tests.processes import PATIENCE, until

pytestmark = pytest.mark.processes
SOCKETS = 20
HANDLER = """
from tasks import handler

@handler("shop.answer")
def answer(ctx):
    return {answer!r}
"""


@pytest.fixture
def app(tmp_path) -> Path:
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "handlers.py").write_text(HANDLER.format(answer="old"))
    return app


@pytest.fixture
def hub(app, tmp_path) -> Iterator[Hub]:
    (tmp_path / "data").mkdir()
    hub = Hub(tmp_path / "data", PYTHONPATH=str(tmp_path), TASKHUB_APPS="shop")
    hub.start()
    yield hub
    hub.stop()


@contextlib.contextmanager
def followers(hub: Hub) -> Iterator[list[ClientConnection]]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(hub.stream()) for _ in range(SOCKETS)]
        for socket in sockets:
            while json.loads(socket.recv(PATIENCE))["type"] != "subscribed":
                pass
        yield sockets


def close_code(socket: ClientConnection) -> int:
    """Reads on to the end."""
    try:
        while True:
            socket.recv(PATIENCE)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def submitted(hub: Hub) -> str | None:
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        return hub.submit(name="shop.answer")["id"]
    return None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_hub_that_stops_closes_its_sockets_with_restart(hub, signum):
    with followers(hub) as sockets:
        hub.process.send_signal(signum)
        assert [close_code(socket) for socket in sockets] == [1012] * SOCKETS
    hub.process.wait(PATIENCE)


def test_a_reload_closes_its_sockets_with_restart_and_whoever_comes_back_has_missed_nothing(app, hub):
    with followers(hub) as sockets:
        first = hub.submit(name="shop.answer")["id"]
        cursor = frames(sockets[0], first, "completed")[-1]["cursor"]
        (app / "handlers.py").write_text(HANDLER.format(answer="new"))
        assert [close_code(socket) for socket in sockets] == [1012] * SOCKETS
    hub.comes_back()
    missed = until(lambda: submitted(hub), "a submission that does not meet the old server's end")
    hub.reaches(missed, "completed")
    with hub.stream(f"/api/v1/tasks/stream?since={cursor}") as socket:
        assert [frame["version"] for frame in frames(socket, missed, "completed")] == [1, 2, 3]
