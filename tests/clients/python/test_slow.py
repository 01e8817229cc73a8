"""A program that is slow loses nothing, although the hub gives up sending to it: it goes on in the log."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial

import pytest
from django.db import connection

from taskhub_client import Client, following, sync
from tasks.access import make_token
from tests.realtime.servers import running
from tests.realtime.test_servers import complete_many

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
PATIENCE = 4.0  # seconds, more than the impatient hub has with a socket that takes nothing
TASKS = 1000  # 14 MB of results: more than the kernel's buffers take


def write() -> None:
    for _ in range(TASKS // 50):
        complete_many(50, {"value": "x" * 14_000})
    connection.close()


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_slow_program_is_told_everything(kind, alice, monkeypatch):
    monkeypatch.setattr(sync, "connect", partial(sync.connect, max_queue=1, compression=None))  # it buffers little
    waits = []
    monkeypatch.setattr(following, "backoff", lambda failures: waits.append(failures) or 0.1)
    alice.is_superuser = True
    alice.save()
    _, token = make_token(alice, ["read"])
    impatient = running(kind, application="tests.realtime.impatient:application")
    with impatient as server, Client(f"http://127.0.0.1:{server.port}", token) as client, client.stream() as events:
        next(events)  # the counts: it is connected
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()  # all the while nobody reads
        time.sleep(PATIENCE)
        told = defaultdict(list)
        while sum(versions[-1] == 3 for versions in told.values()) < TASKS:
            event = next(events)
            assert event["type"] != "resync"
            if "event_id" in event:
                told[event["task_id"]].append(event["version"])
    assert waits, "the hub had more patience than this test thinks"
    assert all(versions == [1, 2, 3] for versions in told.values())
