"""The worker for callbacks and `async def` handlers, in this thread, with receivers on the loopback."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, OperationalError, connection, connections

from tasks import lifecycle, registry, submit
from tasks.engine import claim, loop
from tasks.engine.desk import Desk
from tasks.engine.loop import LoopWorker
from tasks.models import Attempt, Task
from tests.factories import make_task
from tests.processes import until
from tests.tasks.engine.fake_session import FakeSession, FakeWatchdog

pytestmark = pytest.mark.django_db(transaction=True)
LONG = 60.0


class Session(FakeSession):
    """Looks into the database from the loop's own thread, which Django forbids: so from another one."""

    @property
    def ending(self) -> bool:
        if threading.current_thread() is threading.main_thread():
            return self.told or self.is_lost
        return super().ending


@pytest.fixture
def session():
    def nothing_is_left() -> bool:
        unfinished = Task.objects.filter(status__in=["pending", "processing"], deferred_until=None)
        return not unfinished.exists()

    return Session("loop", until=nothing_is_left)


@pytest.fixture
def gave_way():
    return []


@pytest.fixture
def worker(session, gave_way):
    return LoopWorker(session, Desk(session.worker), FakeWatchdog(), lambda: gave_way.append(1))


@pytest.fixture
def handler(monkeypatch):
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))

    def add(name, function, **options):
        registry._handlers.pop(name, None)
        registry.handler(name, **options)(function)

    return add


@pytest.fixture
def receiver():
    """Answers as its attribute `answer` says: (status, headers, body)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, body = server.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = (200, {"Content-Type": "application/json"}, b'{"ok": true}')
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def callback(receiver, **options) -> Task:
    return submit(callback_url=f"http://127.0.0.1:{receiver.server_address[1]}/", **options)


def statuses() -> set[str]:
    return set(Task.objects.values_list("status", flat=True))


def test_hundreds_run_at_once(worker, handler):
    together = []

    async def meet(ctx):
        together.append(1)
        while len(together) < 120:
            await asyncio.sleep(0.01)

    handler("meet", meet)
    for _ in range(120):
        make_task(name="meet")
    worker.run()
    assert statuses() == {"completed"}
    assert len(worker._watchdog.guarded) == 120


def test_never_more_than_it_has_places_for(worker, handler, monkeypatch):
    monkeypatch.setattr(loop, "AT_ONCE", 3)
    inside, most = [], []

    async def work(ctx):
        inside.append(1)
        most.append(len(inside))
        await asyncio.sleep(0.01)
        inside.pop()

    handler("work", work)
    for _ in range(10):
        make_task(name="work")
    worker.run()
    assert statuses() == {"completed"}
    assert max(most) <= 3


def test_a_callback_that_is_answered_completes(worker, receiver):
    task = callback(receiver)
    worker.run()
    stored = Task.objects.get(pk=task.pk)
    assert (stored.status, stored.result) == ("completed", {"ok": True})
    assert Attempt.objects.get().response["status"] == 200


def test_a_callback_that_is_refused_fails(worker, receiver):
    receiver.answer = (500, {}, b"")
    callback(receiver, max_attempts=1)
    worker.run()
    assert statuses() == {"dead_lettered"}


def test_a_callback_that_is_deferred_goes_on_without_a_worker(worker, receiver):
    receiver.answer = (202, {"taskhub-defer": "1"}, b"")
    callback(receiver)
    worker.run()
    task = Task.objects.get()
    assert (task.status, task.worker_id) == ("processing", None)
    assert task.deferred_until
    assert not worker._desk.running


def test_an_attempt_can_be_ended_from_another_thread(worker, handler):
    async def hang(ctx):
        running = worker._watchdog.guarded[0]
        threading.Thread(target=running.force, args=["deadline"]).start()
        await asyncio.sleep(LONG)

    handler("hang", hang, max_attempts=1)
    make_task(name="hang")
    worker.run()
    assert Task.objects.get().error["type"] == "DeadlineExceeded"


def test_after_the_word_nothing_is_claimed_and_what_runs_is_waited_for(worker, session, handler, gave_way):
    async def work(ctx):
        session.told = True
        await asyncio.sleep(0.05)
        assert gave_way == [1]  # a successor may begin before we are done

    handler("work", work)
    make_task(name="work", priority=1)
    for _ in range(loop.STEP):
        make_task(name="test.async")
    worker.run()
    assert Task.objects.get(name="work").status == "completed"
    assert Task.objects.exclude(status="completed").count() == Task.objects.filter(status="pending", attempt=0).count()


def test_without_a_safe_lease_nothing_is_started(worker, session, handler, monkeypatch):
    make_task(name="test.async")
    real = claim.many

    def claim_and_lose(*args):
        claimed = real(*args)
        session.is_safe, session.told = False, True
        return claimed

    monkeypatch.setattr(claim, "many", claim_and_lose)
    worker.run()
    assert (Task.objects.get().status, Task.objects.get().attempt) == ("pending", 0)


def test_an_outage_in_the_middle_loses_nothing(worker, monkeypatch):
    for _ in range(20):
        make_task(name="test.async")
    real, calls = lifecycle.record, []

    def sometimes(*args):
        calls.append(1)
        if len(calls) % 2:
            raise OperationalError("away")
        return real(*args)

    monkeypatch.setattr(lifecycle, "record", sometimes)
    worker.run()
    assert statuses() == {"completed"}
    assert set(Task.objects.values_list("attempt", flat=True)) == {1}


def test_a_claim_whose_answer_was_lost_is_found_again(worker, monkeypatch):
    task = make_task(name="test.async")
    real, calls = Desk._transact, []

    def lose_the_answer(desk, outcomes, claim):
        result = real(desk, outcomes, claim)
        if result and not calls:
            calls.append(1)
            raise OperationalError("server closed the connection unexpectedly")
        return result

    monkeypatch.setattr(Desk, "_transact", lose_the_answer)
    worker.run()
    assert calls == [1]
    stored = Task.objects.get(pk=task.pk)
    assert (stored.status, stored.tries) == ("completed", 1)


def test_what_the_database_refuses_ends_the_worker(worker, session, monkeypatch):
    def refuse(*_):
        raise IntegrityError("twice")

    make_task(name="test.async")
    monkeypatch.setattr(lifecycle, "record", refuse)
    with pytest.raises(IntegrityError):
        worker.run()


def test_an_attempt_that_cannot_be_concluded_ends_the_worker(worker, monkeypatch):
    def refuse(*_):
        raise ZeroDivisionError

    make_task(name="test.async")
    monkeypatch.setattr(Desk, "end", refuse)
    with pytest.raises(ZeroDivisionError):
        worker.run()


@pytest.mark.postgres
def test_the_handlers_own_connection_is_renewed_after_an_outage(on_postgres, handler, gave_way):
    """Django would go on with a dead connection for ever, in a thread where nobody looks after it."""

    def backend() -> int:
        if connection.vendor != "postgresql":  # asgiref's one thread is older than this test's database
            del connections["default"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    def end_everybody_else() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

    async def ask(ctx):
        return await sync_to_async(backend)()

    handler("ask", ask, max_attempts=1)
    session = Session("loop")
    worker = LoopWorker(session, Desk(session.worker), FakeWatchdog(), lambda: gave_way.append(1))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        for _ in range(3):
            task, driver = make_task(name="ask"), worker._driver
            until(lambda: Task.objects.get(pk=task.pk).is_finished, "the task to be over")  # noqa: B023
            assert Task.objects.get(pk=task.pk).error is None
            end_everybody_else()
            until(lambda: worker._driver is not driver, "the worker to have noticed")  # noqa: B023
    finally:
        session.told = True
        thread.join(LONG)
