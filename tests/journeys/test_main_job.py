"""Submit, run, retry, dead-letter, resurrect, seen live; and what happens when a worker or a socket dies meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from tests.hub import Hub, frames
from tests.processes import alive, until
from tests.receiver import Receiver

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub"))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def receiver(hub):
    secret = (hub.log.parent / "callback_secret").read_text().strip()
    return Receiver(secret)


def test_a_callback_is_delivered_signed_and_seen_live(hub, receiver):
    with receiver.listening() as url, hub.stream() as socket:
        task = hub.submit(callback_url=url, payload={"order": 7})
        seen = frames(socket, task["id"], "completed")
    assert [frame["status"] for frame in seen] == ["pending", "processing", "completed"]
    assert [frame["version"] for frame in seen] == [1, 2, 3]
    assert receiver.verified == [{"order": 7}]
    assert hub.task(task["id"])["result"] == {"received": True}


def test_a_broken_receiver_ends_in_a_dead_letter_and_resurrection_completes_it(hub, receiver):
    receiver.status = 500
    with receiver.listening() as url, hub.stream() as socket:
        task = hub.submit(callback_url=url, max_attempts=3, retry={"delay": 0.2, "jitter": 0})
        seen = frames(socket, task["id"], "dead_lettered")
        assert [frame["status"] for frame in seen[1:]] == ["processing", "failed"] * 2 + ["processing", "dead_lettered"]
        receiver.status = 200
        assert hub.act(task["id"], "resurrect")["attempt"] == 0
        assert [frame["status"] for frame in frames(socket, task["id"], "completed")] == [
            "pending", "processing", "completed",
        ]  # fmt: skip
    attempts = hub.request("GET", f"/api/v1/tasks/{task['id']}/attempts")[1]["results"]
    assert [(row["number"], row["outcome"]) for row in attempts] == [
        (1, "failed"), (2, "failed"), (3, "failed"), (4, "completed"),
    ]  # fmt: skip
    assert attempts[0]["response"]["status"] == 500


def test_a_worker_that_is_killed_in_the_middle_of_a_task_costs_one_attempt(hub):
    task = hub.submit(name="test.sleep", payload={"seconds": 1.5})
    worker = hub.reaches(task["id"], "processing")["worker"]
    os.kill(_pid_of(hub, worker), signal.SIGKILL)
    done = hub.reaches(task["id"], "completed", patience=30)
    assert done["attempt"] == 2


def test_idle_workers_that_are_killed_are_replaced(hub):
    for worker in hub.request("GET", "/api/v1/workers")[1]["results"]:
        os.kill(worker["pid"], signal.SIGKILL)
    for name in ("test.echo", "test.async"):
        hub.reaches(hub.submit(name=name)["id"], "completed", patience=30)


def test_a_socket_that_comes_back_with_its_cursor_has_missed_nothing(hub):
    with hub.stream() as socket:
        first = hub.submit(name="test.echo")
        cursor = frames(socket, first["id"], "completed")[-1]["cursor"]
    missed = [hub.submit(name="test.echo")["id"] for _ in range(5)]
    for id in missed:
        hub.reaches(id, "completed")
    with hub.stream(f"/api/v1/tasks/stream?since={cursor}") as socket:
        seen = frames(socket, missed[-1], "completed")
    assert [frame["version"] for frame in seen] == [1, 2, 3]


def test_sigterm_stops_everything(tmp_path):
    hub = Hub(tmp_path)
    hub.start()
    pids = [worker["pid"] for worker in hub.request("GET", "/api/v1/workers")[1]["results"]]
    hub.stop()
    until(lambda: not alive(*pids), "the workers to be gone")


def _pid_of(hub: Hub, worker: str) -> int:
    workers = {row["id"]: row["pid"] for row in hub.request("GET", "/api/v1/workers")[1]["results"]}
    return workers[worker]
