"""`manage.py hub` as a whole: each of its processes is killed in turn, and what it stands on is taken away."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tasks.models import Attempt, Task, Worker
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub, Served, through
from tests.chaos.proxy import Proxy
from tests.processes import children, descendants, marked
from tests.services import Service

WORK = {"name": "chaos.work"}
BACK = 15.0  # seconds within which workers resume
AT_ONCE = 2.0  # seconds within which the children of a killed supervisor are gone


class Tree:
    """The processes of a hub, by what they are."""

    def __init__(self, hub: Served) -> None:
        assert hub.process
        self._hub, self.supervisor = hub, hub.process.pid
        self._mark = f"TASKHUB_DATA={hub.environment['TASKHUB_DATA']}"

    def all(self) -> dict[int, str]:
        return marked(self._mark)

    def orphans(self) -> set[int]:
        """What runs and does not descend from the supervisor."""
        return self.all().keys() - {self.supervisor, *descendants(self.supervisor)}

    def _child(self, word: str) -> int:
        commands = self.all()
        return until(
            lambda: [pid for pid in children(self.supervisor) if word in (self.all() | commands).get(pid, "")], word
        )[0]

    @property
    def web(self) -> int:
        return self._child("daphne")

    @property
    def pool(self) -> int:
        return self._child("qcluster")

    @property
    def sentinel(self) -> int:
        return until(lambda: children(self.pool), "a sentinel")[0]

    @property
    def pusher(self) -> int:
        return self._helpers()[-1]

    @property
    def monitor(self) -> int:
        return self._helpers()[-2]

    def _helpers(self) -> list[int]:
        """django-q2 starts the workers first; those that replace others come later, and have sessions."""
        workers = set(Worker.objects.values_list("pid", flat=True))
        return until(
            lambda: len(found := [pid for pid in children(self.sentinel) if pid not in workers]) > 1 and found,
            "helpers",
        )

    @property
    def worker(self) -> int:
        return self._session("plain")

    @property
    def loop(self) -> int:
        return self._session("loop")

    def _session(self, role: str) -> int:
        here = set(descendants(self.supervisor))
        live = Worker.objects.filter(role=role, stopped_at=None, lost_at=None)
        return until(
            lambda: [pid for pid in live.order_by("pk").values_list("pid", flat=True) if pid in here],
            f"a {role} worker",
        )[0]


@pytest.mark.full
def test_each_process_of_a_hub_is_killed_in_turn(hub: Hub):
    """R1: with work waiting and running. It goes on each time, and nothing is left behind but what belongs there."""
    served = hub.served(TASKHUB_SHUTDOWN_GRACE_S=1)
    served.start()
    tree = Tree(served)
    for what in ("worker", "loop", "monitor", "pusher", "sentinel", "pool", "web"):
        hub.submit("chaos.work", 10, seconds=0.2)
        hub.submit("chaos.async", 5, seconds=0.2)
        until(lambda: Task.objects.filter(status="processing").exists(), "work that runs")
        victim = getattr(tree, what)
        os.kill(victim, signal.SIGKILL)
        hub.drained(60)
        assert not tree.orphans(), what
    until(lambda: served.request("GET", "/readyz")[0] == 200, "the web server")
    hub.submit("chaos.work", 3, seconds=5)
    until(lambda: Task.objects.filter(status="processing").exists(), "work that runs")
    os.kill(tree.supervisor, signal.SIGKILL)
    until(
        lambda: not tree.all().keys() - {tree.supervisor}, "the end of its children", AT_ONCE, lambda: str(tree.all())
    )
    served.process.wait()
    served.start()
    hub.drained(60)
    assert not Tree(served).orphans()
    assert not Task.objects.exclude(status="completed").exists()
    assert hub.verdict().is_clean, hub.verdict()


@pytest.mark.full
def test_a_signal_to_every_process_of_a_hub_lets_running_work_finish(sqlite_hub: Hub):
    """As a service manager stops it."""
    served = sqlite_hub.served(TASKHUB_SHUTDOWN_GRACE_S=30)
    served.start()
    sqlite_hub.submit("chaos.work", 2, seconds=4)
    sqlite_hub.submit("chaos.async", 2, seconds=4)
    until(lambda: Task.objects.filter(status="processing").count() == 4, "all to run")
    tree = Tree(served)
    for pid in tree.all():
        os.kill(pid, signal.SIGTERM)
    served.process.wait(60)
    assert not tree.all()
    assert set(Task.objects.values_list("status", "attempt")) == {("completed", 1)}, served.log.read_text()


# -- the database ---------------------------------------------------------------------------------------------------


def refuses_politely(served: Served) -> bool:
    """Whether a submission is answered by 503 and by when to come again."""
    status, headers, body = served.ask("POST", "/api/v1/tasks", WORK)
    assert status in (201, 503), body
    return status == 503 and int(headers["Retry-After"]) > 0 and body["status"] == 503


@pytest.mark.full
@pytest.mark.postgres
def test_while_postgresql_is_away_submissions_are_refused_and_the_hub_stays(postgres_hub: Hub, postgres: Service):
    served = postgres_hub.served()
    served.start()
    tree = Tree(served)
    heads = {tree.web, tree.pool, tree.sentinel}
    served.submit(**WORK, payload={"seconds": 1})
    postgres.stop()
    try:
        until(lambda: refuses_politely(served), "a polite refusal")
        assert served.request("GET", "/healthz")[0] == 200
    finally:
        postgres.start()
    until(lambda: not refuses_politely(served), "an accepted submission", BACK)
    until(lambda: not postgres_hub.left(), "its end", BACK)
    assert {tree.web, tree.pool, tree.sentinel} == heads


@pytest.mark.postgres
@pytest.mark.full
def test_while_the_network_swallows_everything_submissions_are_refused(postgres_hub: Hub, proxy: Proxy):
    """R7: nobody waits for ever for an answer that does not come."""
    served = postgres_hub.served(DATABASE_URL=through(proxy, postgres_hub.url))
    served.start()
    with proxy.silent():
        began = time.monotonic()
        assert refuses_politely(served)
        assert time.monotonic() - began < 15
        assert served.request("GET", "/healthz")[0] == 200
        time.sleep(20)
    until(lambda: not refuses_politely(served), "an accepted submission", BACK)
    until(lambda: not postgres_hub.left(), "its end", BACK)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody holds the lock that every writer of SQLite needs."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield


def test_a_lock_on_sqlite_only_delays(sqlite_hub: Hub):
    """Below 20 s: neither those who submit nor the workers see more of it than the wait."""
    served = sqlite_hub.served()
    served.start()
    answers: list[int] = []
    with locked(sqlite_hub.url):
        caller = threading.Thread(target=lambda: answers.append(served.request("POST", "/api/v1/tasks", WORK)[0]))
        caller.start()
        time.sleep(6)  # more than the lease
        assert not answers
    caller.join(20)
    assert answers == [201]
    until(lambda: not sqlite_hub.left(), "its end", 20)
    assert Counter(Attempt.objects.values_list("outcome", flat=True)) == {"completed": 1}
    assert not Worker.objects.filter(lost_at__isnull=False).exists()


@pytest.mark.full
def test_a_long_lock_on_sqlite_is_told_to_users_and_outwaited_by_the_engine(sqlite_hub: Hub):
    served = sqlite_hub.served()
    served.start()
    tree = Tree(served)
    heads = {tree.web, tree.pool, tree.sentinel}
    running = served.submit(**WORK, payload={"seconds": 3})["id"]
    served.reaches(running, "processing")
    with locked(sqlite_hub.url):
        assert refuses_politely(served)
        time.sleep(15)
    served.submit(**WORK)
    until(lambda: not sqlite_hub.left(), "the end of both", 30)
    assert {tree.web, tree.pool, tree.sentinel} == heads
    assert Counter(Attempt.objects.values_list("outcome", flat=True)) == {"completed": 2}


# -- Redis ----------------------------------------------------------------------------------------------------------


@pytest.mark.redis
@pytest.mark.postgres
def test_redis_goes_away_and_comes_back(postgres_hub: Hub, redis_server: Service):
    """Hints fail to come; work and events go on all the same, and no process ends for it."""
    served = postgres_hub.served(REDIS_URL=redis_server.url)
    served.start()
    tree = Tree(served)
    heads = {tree.web, tree.pool, tree.sentinel, tree.worker, tree.loop}
    with served.stream() as stream:
        redis_server.stop()
        try:
            during = [served.submit(name=name)["id"] for name in ("chaos.work", "chaos.async") * 3]
            until(lambda: not postgres_hub.left(), "work without hints", 30)
            until(lambda: "redis" in str(served.request("GET", "/readyz")[1]).lower(), "a word about it")
        finally:
            redis_server.start()
        after = served.submit(name="chaos.work")["id"]
        seen: set[str] = set()
        while not {*during, after} <= seen:
            event = json.loads(stream.recv(60))
            if event.get("status") == "completed":
                seen.add(event["task_id"])
    until(lambda: not served.request("GET", "/readyz")[1].get("degraded"), "a hub in full health", 30)
    assert {tree.web, tree.pool, tree.sentinel, tree.worker, tree.loop} == heads
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


# -- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize("keys", [10, 200])
def test_callers_that_are_cut_off_and_ask_again_get_one_task_for_each_key(hub: Hub, keys: int):
    """R18: many at once, and some who do not wait for their answer."""
    served = hub.served(TASKHUB_RATE_LIMIT=1_000_000)
    served.start()
    found: dict[str, set[str]] = {f"key-{number}": set() for number in range(keys)}

    def call(number: int) -> None:
        for key, ids in found.items():
            if (number + len(key)) % 3 == 0:
                send_and_hang_up(served, key)
            status, _, body = served.ask("POST", "/api/v1/tasks", WORK, Idempotency_Key=key)
            assert status in (200, 201), body
            ids.add(body["id"])

    callers = [threading.Thread(target=call, args=[number]) for number in range(10)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [len(ids) for ids in found.values()] == [1] * keys
    assert Task.objects.count() == keys
    hub.drained()


def send_and_hang_up(served: Served, key: str) -> None:
    body = json.dumps(WORK)
    head = {
        "Host": "localhost",
        "Authorization": f"Bearer {served.token}",
        "Content-Type": "application/json",
        "Content-Length": len(body),
        "Idempotency-Key": key,
    }
    lines = ["POST /api/v1/tasks HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", body]
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall("\r\n".join(lines).encode())
