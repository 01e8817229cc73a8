"""What a client sees: who is let in, what is answered, what is sent, and how it ends."""

from __future__ import annotations

import json
import uuid

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.utils import timezone

from realtime import consumers
from realtime.database import in_database
from tasks import logs, submit
from tasks.access import make_ticket, revoke, token_principal
from tasks.logs import LogLine
from tasks.models import Token
from tasks.states import Actions
from tests.factories import claim, end, make_task
from tests.realtime.conftest import make_user, token_of
from tests.tasks.pipelines.factories import make_pipeline, run

pytestmark = pytest.mark.django_db(transaction=True)
STREAM, TASKS = "/api/v1/stream", "/api/v1/tasks/stream"


async def submitted(name: str = "test.echo", **options):
    return await in_database(submit, name, **options)


# -- letting in ----------------------------------------------------------------------------------------------------


async def test_hello_comes_first(connect, root):
    client = await connect(token=root)
    hello = await client.next()
    assert hello.keys() == {"type", "timestamp", "protocol", "cursor", "heartbeat_s"}
    assert (hello["type"], hello["protocol"], hello["heartbeat_s"]) == ("hello", 1, 25)


@pytest.mark.parametrize("path", [f"{STREAM}?token=%s", f"{STREAM}?access_token=%s", f"{STREAM}?ticket=%s"])
async def test_a_token_in_an_address_is_refused(connect, root, path):
    client = await connect(path % root)
    assert await client.closed() == 4401
    assert client.frames == []


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer ", "Basic YTpi", "nonsense"])
async def test_credentials_that_are_no_good_are_refused_at_once(connect, transactional_db, header):
    client = await connect(authorization=header)
    assert await client.closed() == 4401
    assert client.frames == []


async def test_a_ticket_is_good_once(connect, root):
    ticket, _ = await in_database(lambda: make_ticket(token_principal(root)))
    assert (await (await connect(f"{STREAM}?ticket={ticket}")).next())["type"] == "hello"
    assert await (await connect(f"{STREAM}?ticket={ticket}")).closed() == 4401


@pytest.mark.parametrize("kind", ["token", "ticket"])
async def test_the_first_frame_may_bring_the_credentials(connect, root, kind):
    secret = root if kind == "token" else (await in_database(lambda: make_ticket(token_principal(root))))[0]
    client = await connect()
    await client.send({"type": "authenticate", kind: secret})
    assert (await client.next())["type"] == "hello"
    await client.send({"type": "authenticate", kind: secret})
    assert (await client.until("error"))["code"] == "already_authenticated"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "authenticate", "token": "nonsense"}, 4401),
        ({"type": "authenticate", "ticket": "nonsense"}, 4401),
        ({"type": "authenticate"}, 4400),
        ({"type": "authenticate", "token": "a", "ticket": "b"}, 4400),
        ({"type": "ping"}, 4401),
        ({"type": "subscribe", "queue": "*"}, 4401),
        ("nonsense", 4400),
    ],
)
async def test_any_other_first_frame_ends_it_without_a_word(connect, transactional_db, frame, code):
    client = await connect()
    await client.send(frame)
    assert await client.closed() == code
    assert client.frames == []


async def test_who_says_nothing_is_sent_away(connect, transactional_db, monkeypatch):
    monkeypatch.setattr(consumers, "FIRST_FRAME_S", 0.05)
    client = await connect()
    assert await client.closed() == 4401
    assert client.frames == []


async def test_a_page_of_another_origin_with_our_cookie_is_sent_away_at_once(connect, transactional_db, monkeypatch):
    monkeypatch.setattr(consumers, "FIRST_FRAME_S", 3600)
    session = Client()
    await in_database(session.force_login, await make_user("anna"))
    cookie = f"sessionid={session.cookies['sessionid'].value}"
    ours = await connect(cookie=cookie, host="localhost", origin="http://localhost")
    assert (await ours.next())["type"] == "hello"
    theirs = await connect(cookie=cookie, host="localhost", origin="http://evil.test")
    assert await theirs.closed() == 4401
    assert theirs.frames == []


async def test_without_the_scope_read_nothing_may_be_followed(connect, transactional_db):
    token = await token_of(await make_user("sender", is_superuser=True), "submit", "operate")
    assert await (await connect(token=token)).closed() == 4403


async def test_a_user_has_so_many_connections(connect, root, settings):
    settings.TASKHUB_STREAM_CONNECTIONS = 2
    first, second = await connect(token=root), await connect(token=root)
    for client in (first, second):
        await client.until("hello")
    assert await (await connect(token=root)).closed() == 4429
    await first.leave()
    await (await connect(token=root)).until("hello")
    assert await second.is_silent()


@pytest.mark.parametrize("path", ["/", "/api/v1/tasks", "/api/v1/tasks/stream/", "/api/v2/stream", "/ws"])
async def test_other_addresses_are_unknown(connect, transactional_db, path):
    assert await (await connect(path)).closed() == 4404


# -- events --------------------------------------------------------------------------------------------------------


async def test_every_change_is_told_in_order(connect, root):
    client = await connect(TASKS, token=root)
    await client.until("subscribed")
    task = await in_database(make_task, "completed")
    events = await client.events(3)
    assert [event["type"] for event in events] == ["task_created", "task_updated", "task_updated"]
    assert [event["version"] for event in events] == [1, 2, 3]
    assert [event["status"] for event in events] == ["pending", "processing", "completed"]
    assert {event["task_id"] for event in events} == {str(task.pk)}
    assert len({event["event_id"] for event in events}) == 3
    assert events[-1]["result"] == {"value": "x"}
    assert "result" not in events[-2]


async def test_a_task_is_shown_whole_before_it_is_followed(connect, root):
    task = await in_database(make_task, "processing")
    client = await connect(f"/api/v1/tasks/{task.pk}/stream", token=root)
    assert [(await client.next())["type"] for _ in range(3)] == ["hello", "subscribed", "snapshot"]
    shown = client.frames[-1]["task"]
    assert (shown["id"], shown["status"], shown["version"]) == (str(task.pk), "processing", 2)
    await submitted()
    await in_database(end, task, Actions.COMPLETE, result=1)
    (event,) = await client.events(1)
    assert (event["task_id"], event["version"], event["result"]) == (str(task.pk), 3, 1)


async def test_foreign_and_unknown_ids_look_the_same(connect, root, anna):
    foreign = await submitted()
    for task_id in (foreign.pk, uuid.uuid4(), "nonsense"):
        client = await connect(f"/api/v1/tasks/{task_id}/stream", token=anna[1])
        assert await client.closed() == 4404
        assert [frame["type"] for frame in client.frames] == ["hello"]
    client = await connect(token=anna[1])
    answers = []
    for task_id in (foreign.pk, uuid.uuid4(), "nonsense"):
        await client.send({"type": "subscribe", "task_id": str(task_id)})
        error = await client.until("error")
        assert error["task_id"] == str(task_id)
        answers.append((error["code"], error["detail"].replace(str(task_id), "")))
    assert len(set(answers)) == 1
    assert answers[0][0] == "not_found"


async def test_each_sees_what_is_theirs(connect, root, anna):
    user, token = anna
    hers, everything = await connect(TASKS, token=token), await connect(TASKS, token=root)
    for client in (hers, everything):
        await client.until("subscribed")
    other = await submitted()
    own = await submitted(owner=user)
    assert [event["task_id"] for event in await everything.events(2)] == [str(other.pk), str(own.pk)]
    assert [event["task_id"] for event in await hers.events(1)] == [str(own.pk)]
    assert "queue_status" not in {frame["type"] for frame in hers.frames}


async def test_a_queue_and_filters(connect, root):
    client = await connect(token=root)
    await client.subscribe(queue="a", events=["task_updated"], statuses=["failed", "completed"])
    await in_database(make_task, "completed", queue="b")
    task = await in_database(make_task, "failed", queue="a")
    (event,) = await client.events(1)
    assert (event["task_id"], event["status"], event["type"]) == (str(task.pk), "failed", "task_updated")
    assert await client.is_silent()


async def test_what_matches_twice_comes_once(connect, root):
    client = await connect(token=root)
    task = await submitted(queue="a")
    for key in ({"task_id": "*"}, {"queue": "*"}, {"queue": "a"}, {"task_id": str(task.pk)}):
        await client.subscribe(**key, events=["task_updated"])
    await in_database(claim, task)
    assert [event["version"] for event in await client.events(1)] == [2]
    assert await client.is_silent()


async def test_unsubscribing_ends_it_and_may_be_said_twice(connect, root):
    client = await connect(token=root)
    await client.subscribe(queue="a", events=["task_created"])
    for _ in range(2):
        await client.send({"type": "unsubscribe", "queue": "a"})
        assert (await client.until("unsubscribed"))["queue"] == "a"
    await submitted(queue="a")
    await client.subscribe(queue="b", events=["task_created"])
    task = await submitted(queue="b")
    assert [event["task_id"] for event in await client.events(1)] == [str(task.pk)]


async def test_the_same_key_again_replaces_and_misses_nothing(connect, root):
    client = await connect(token=root)
    await client.subscribe(queue="a", events=["task_updated"])
    task = await submitted(queue="a")
    await client.subscribe(queue="a", events=["task_created", "task_updated"])
    await in_database(claim, task)
    later = await submitted(queue="a")
    events = await client.events(2)
    assert [(event["task_id"], event["version"]) for event in events] == [(str(task.pk), 2), (str(later.pk), 1)]


async def test_batches(connect, root):
    client = await connect(token=root)
    await client.subscribe(queue="*", events=["task_created"], batch=True)
    tasks = [await submitted() for _ in range(5)]
    assert [event["task_id"] for event in await client.events(5)] == [str(task.pk) for task in tasks]
    batches = [frame for frame in client.frames if frame["type"] == "batch"]
    assert batches
    assert all(event["cursor"] for batch in batches for event in batch["events"])


async def test_a_pipeline_is_followed_apart_from_its_tasks(connect, root):
    pipeline = await in_database(make_pipeline)
    client = await connect(f"/api/v1/pipelines/{pipeline.pk}/stream", token=root)
    assert [(await client.next())["type"] for _ in range(3)] == ["hello", "subscribed", "snapshot"]
    assert client.frames[-1]["pipeline"]["id"] == str(pipeline.pk)
    await in_database(run, pipeline, "extract", "load")
    await client.until("PipelineCompleteEvent")
    events = [frame for frame in client.frames if "event_id" in frame]
    told = [event["type"] for event in events if event["type"] != "pipeline_progress"]
    assert told == [
        "PipelineStartEvent", "StepStartEvent", "StepCompleteEvent", "StepStartEvent", "StepCompleteEvent",
        "PipelineCompleteEvent",
    ]  # fmt: skip
    assert {event["pipeline_id"] for event in events} == {str(pipeline.pk)}
    versions = [event["version"] for event in events]
    assert versions == sorted(set(versions))


# -- coming back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forgetful", [False, True], ids=["from the ring", "from the log"])
async def test_who_comes_back_misses_nothing(connect, board, root, forgetful):
    client = await connect(TASKS, token=root)
    await client.until("subscribed")
    first = await submitted()
    (seen,) = await client.events(1)
    await client.leave()
    missed = [await in_database(make_task, "completed") for _ in range(3)]
    if forgetful:
        await board.aclose()
        board.__init__()
    client = await connect(f"{TASKS}?since={seen['cursor']}", token=root)
    subscribed = await client.until("subscribed")
    assert (subscribed["recovered"], subscribed["cursor"]) == (True, seen["cursor"])
    events = await client.events(9)
    assert [event["task_id"] for event in events] == [str(task.pk) for task in missed for _ in range(3)]
    assert str(first.pk) not in {event["task_id"] for event in events}
    after = await submitted()
    assert [event["task_id"] for event in await client.events(1)] == [str(after.pk)]


async def test_a_replay_is_whole_before_what_follows_and_brings_nothing_twice(connect, root):
    start = (await (await connect(token=root)).next())["cursor"]
    client = await connect(token=root)
    await client.subscribe(queue="a", events=["task_created"])
    tasks = [await submitted(queue=queue) for queue in "abab"]
    assert len(await client.events(2)) == 2
    await client.subscribe(queue="*", since=start, events=["task_created"])
    late = await submitted(queue="b")
    events = await client.events(3)
    assert [event["task_id"] for event in events] == [str(task.pk) for task in (tasks[1], tasks[3], late)]


@pytest.mark.parametrize("since", ["nonsense", "00000000.1.1", "", "\N{SNOWMAN}", "ffffffff.ffffffffffffffff.0"])
async def test_a_cursor_that_leads_nowhere_recovers_nothing(connect, root, since):
    task = await submitted()
    client = await connect(token=root)
    head = (await client.next())["cursor"]
    subscribed = await client.subscribe(task_id=str(task.pk), since=since)
    assert (subscribed["recovered"], subscribed["cursor"]) == (False, head)
    assert (await client.next())["task"]["id"] == str(task.pk)
    assert (await client.subscribe(queue="*", since=since))["recovered"] is False
    await in_database(claim, task)
    assert [event["version"] for event in await client.events(1)] == [2]


async def test_a_cursor_of_the_future_recovers_nothing(connect, root):
    await submitted()
    client = await connect(token=root)
    epoch, high, tag = (await client.next())["cursor"].split(".")
    subscribed = await client.subscribe(queue="*", since=f"{epoch}.{int(high, 16) + 1000:x}.{tag}")
    assert (subscribed["recovered"], subscribed["cursor"]) == (False, f"{epoch}.{high}.{tag}")


async def test_nobody_hears_of_what_was_rolled_back(connect, root):
    client = await connect(TASKS, token=root)
    await client.until("subscribed")

    def submit_and_regret() -> None:
        with transaction.atomic():
            submit("test.echo")
            transaction.set_rollback(True)

    await in_database(submit_and_regret)
    task = await submitted()
    (event,) = await client.events(1)
    assert event["task_id"] == str(task.pk)


async def test_a_replay_leaves_out_what_may_no_longer_be_seen(connect, anna):
    user, token = anna
    permission = await in_database(Permission.objects.get, codename="view_all_tasks")
    await in_database(user.user_permissions.add, permission)
    client = await connect(TASKS, token=token)
    start = (await client.until("subscribed"))["cursor"]
    foreign, own = await submitted(), await submitted(owner=user)
    assert [event["task_id"] for event in await client.events(2)] == [str(foreign.pk), str(own.pk)]
    await client.leave()
    await in_database(user.user_permissions.remove, permission)
    client = await connect(f"{TASKS}?since={start}", token=token)
    assert (await client.until("subscribed"))["recovered"] is True
    assert [event["task_id"] for event in await client.events(1)] == [str(own.pk)]


async def test_a_replay_of_one_task_comes_after_its_snapshot(connect, root):
    start = (await (await connect(token=root)).next())["cursor"]
    task = await in_database(make_task, "completed")
    client = await connect(f"/api/v1/tasks/{task.pk}/stream?since={start}", token=root)
    assert (await client.until("snapshot"))["task"]["version"] == 3
    assert [event["version"] for event in await client.events(3)] == [1, 2, 3]


async def test_since_in_the_address_holds_for_subscriptions_without_their_own(connect, root):
    start = (await (await connect(token=root)).next())["cursor"]
    task = await submitted()
    client = await connect(f"{STREAM}?since={start}", token=root)
    assert (await client.subscribe(queue="*"))["cursor"] == start
    assert [event["task_id"] for event in await client.events(1)] == [str(task.pk)]


# -- other frames --------------------------------------------------------------------------------------------------


async def test_the_state_of_the_queues_comes_at_once_and_when_it_changes(connect, root):
    client = await connect(TASKS, token=root)
    assert (await client.until("queue_status"))["total_tasks"] == 0
    await submitted()
    status = await client.until("queue_status")
    assert (status["total_tasks"], status["by_status"]["pending"]) == (1, 1)


async def test_log_lines_go_to_who_follows_the_one_task(connect, root):
    task = await in_database(make_task, "processing")
    await in_database(logs.append, task, [LogLine("info", "before", timezone.now())])
    narrow = await connect(f"/api/v1/tasks/{task.pk}/stream", token=root)
    broad = await connect(TASKS, token=root)
    await narrow.until("snapshot")
    await broad.until("queue_status")
    await in_database(logs.append, task, [LogLine("warning", "now", timezone.now())])
    line = await narrow.until("task_log")
    assert (line["task_id"], line["seq"], line["level"], line["message"]) == (str(task.pk), 2, "warning", "now")
    assert await broad.is_silent()


async def test_ping(connect, root):
    client = await connect(token=root)
    await client.send({"type": "ping"})
    assert (await client.until("pong")).keys() == {"type", "timestamp"}


async def test_a_heartbeat_says_how_far_we_are(connect, root, monkeypatch):
    monkeypatch.setattr("realtime.connection.HEARTBEAT_S", 0.2)
    monkeypatch.setattr("realtime.switchboard.TICK_S", 0.05)
    client = await connect(TASKS, token=root)
    await submitted()
    (event,) = await client.events(1)
    assert (await client.until("heartbeat"))["cursor"] == event["cursor"]


# -- nonsense ------------------------------------------------------------------------------------------------------


async def test_nonsense_gets_an_error_and_harms_nobody(connect, root):
    client = await connect(token=root)
    await client.until("hello")
    for frame in ("nonsense", "[" * 10_000, b"\xff\xfe", "{}", '{"type": "subscribe", "queue": "a", "task_id": "b"}'):
        await client.send(frame)
        error = await client.next()
        assert error["type"] == "error"
        assert error["code"] in {"invalid_json", "invalid_frame"}
        assert await client.is_silent()


async def test_a_frame_may_come_as_bytes(connect, root):
    client = await connect(token=root)
    await client.send(b'{"type": "ping"}')
    await client.until("pong")


async def test_frames_have_a_size(connect, root):
    client = await connect(token=root)
    await client.send(json.dumps({"type": "ping", "more": "é" * 33_000}, ensure_ascii=False))
    assert await client.closed() == 4400


async def test_a_flood_is_stopped(connect, root):
    client = await connect(token=root)
    await client.until("hello")
    for _ in range(20):
        assert await client.is_silent()
    await client.send({"type": "ping"})
    assert await client.closed() == 4429


async def test_a_connection_has_so_many_subscriptions(connect, root, monkeypatch):
    monkeypatch.setattr("realtime.connection.SUBSCRIPTIONS", 2)
    client = await connect(token=root)
    for queue in ("a", "b", "a"):
        await client.subscribe(queue=queue)
    await client.send({"type": "subscribe", "queue": "c"})
    refusal = await client.until("error")
    assert (refusal["code"], refusal["queue"]) == ("too_many_subscriptions", "c")


# -- the end -------------------------------------------------------------------------------------------------------


async def test_a_revoked_token_ends_it(connect, root, monkeypatch):
    client = await connect(token=root)
    await client.next()
    await in_database(lambda: revoke(Token.objects.all()))
    assert await client.closed() == 4401


async def test_a_database_that_is_away_asks_to_try_later(connect, root, monkeypatch):
    def away(*_):
        raise OSError("away")

    monkeypatch.setattr("realtime.auth.of_handshake", away)
    assert await (await connect(token=root)).closed() == 1013
    monkeypatch.undo()
    assert (await (await connect(token=root)).next())["type"] == "hello"


async def test_a_sender_that_fails_ends_only_its_own_socket(connect, root, monkeypatch):
    other = await connect(token=root)
    await other.next()
    monkeypatch.setattr("realtime.connection.encode", None)
    client = await connect(token=root)
    assert await client.closed() == 1011
    monkeypatch.undo()
    assert await other.is_silent()
