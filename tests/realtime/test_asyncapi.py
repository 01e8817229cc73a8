"""The AsyncAPI document says what the code does: its frames, close codes, addresses, and what a server really sends."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml
from django.core.management import call_command
from django.utils import timezone
from jsonschema import Draft7Validator

from realtime import asyncapi, messages
from realtime.asyncapi import document
from realtime.database import in_database
from tasks import lifecycle, logs
from tasks.lifecycle import Progress
from tasks.logs import LogLine
from tasks.states import Actions
from tests.factories import end, make_task
from tests.tasks.pipelines.factories import make_pipeline, run

ROOT = Path(__file__).parents[2]
HELD = ROOT / "docs" / "reference" / "asyncapi.yaml"
FRAMES = {
    thing.__struct_config__.tag: thing
    for thing in vars(messages).values()
    if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing.__struct_config__.tag
}


@pytest.fixture(scope="module")
def held():
    return yaml.safe_load(HELD.read_text())


def test_the_page_holds_what_the_command_prints(held, capsys):
    call_command("asyncapi")
    assert HELD.read_text() == capsys.readouterr().out, "stale: write there what `manage.py asyncapi` prints"
    assert held == document()


def test_every_reference_leads_somewhere(held):
    for reference in re.findall(r"'#/([^']+)'", HELD.read_text()):
        place = held
        for part in reference.split("/"):
            place = place[part]


def test_the_messages_are_the_frames(held):
    assert set(held["components"]["messages"]) == set(FRAMES)
    for tag, frame in FRAMES.items():
        message = held["components"]["messages"][tag]
        schema = held["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        assert set(schema["properties"]) == {"type", *frame.__struct_fields__}
        assert schema["properties"]["type"] == {"enum": [tag]}


def test_what_the_client_says_is_received_and_what_the_hub_says_is_sent(held):
    from_client = {frame.__struct_config__.tag for frame in get_args(messages.Requests)}
    for operation in held["operations"].values():
        tags = {reference["$ref"].rpartition("/")[2] for reference in operation["messages"]}
        assert tags == (from_client if operation["action"] == "receive" else set(FRAMES) - from_client)
    assert {operation["action"] for operation in held["operations"].values()} == {"receive", "send"}


def test_the_close_codes_are_those_of_the_code(held):
    ours = {value for name, value in vars(messages).items() if name.isupper() and isinstance(value, int)}
    assert set(held["x-close-codes"]) == {str(code) for code in ours if 1000 <= code < 5000}
    final = {int(code) for code, about in held["x-close-codes"].items() if not about["come_back"]}
    assert final == {4400, 4401, 4403, 4404}


def test_the_addresses_are_those_of_the_reference(held):
    page = (ROOT / "docs/reference/websocket.md").read_text().partition("## Addresses")[2].partition("##")[0]
    listed = set(re.findall(r"^\| `([^`]+)`", page, re.MULTILINE))
    assert {channel["address"] for channel in held["channels"].values()} == listed == set(asyncapi.addresses())


def test_the_error_codes_are_those_that_are_sent():
    sent = set()
    for name in ("connection", "consumers", "messages"):
        for node in ast.walk(ast.parse((ROOT / "realtime" / f"{name}.py").read_text())):
            called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            if called in ("refuse", "InvalidFrame") and isinstance(node.args[0], ast.Constant):
                sent.add(node.args[0].value)
    assert sent == set(get_args(messages.ErrorCode))


@pytest.mark.django_db(transaction=True)
async def test_what_a_server_really_sends_fits(connect, root, monkeypatch, held):
    monkeypatch.setattr("realtime.connection.HEARTBEAT_S", 0.5)
    monkeypatch.setattr("realtime.switchboard.TICK_S", 0.05)
    clients = [
        await _hear_tasks(connect, root),
        await _hear_pipelines(connect, root),
        await _hear_the_rest(connect, root),
    ]
    frames = [frame for client in clients for frame in client.frames]
    frames += [event for frame in frames if frame["type"] == "batch" for event in frame["events"]]
    for frame in frames:
        _check(held, frame)
    from_client = {frame.__struct_config__.tag for frame in get_args(messages.Requests)}
    assert {frame["type"] for frame in frames} == set(FRAMES) - from_client


async def _hear_tasks(connect, root):
    task = await in_database(make_task, "processing")
    client = await connect(f"/api/v1/tasks/{task.pk}/stream", token=root)
    await client.until("snapshot")
    await client.subscribe(task_id="*")
    await client.until("queue_status")
    await in_database(logs.append, task, [LogLine("info", "now", timezone.now())])
    await client.until("task_log")
    await in_database(lifecycle.report, [Progress(task.pk, task.lease, 42.0, "page 3")], "w")
    await client.until("task_progress")
    await in_database(task.refresh_from_db)
    await in_database(end, task, Actions.BURY)
    for status in ("completed", "paused", "canceled"):
        await in_database(make_task, status)
        await client.until("task_updated", status=status)
    return client


async def _hear_pipelines(connect, root):
    client = await connect(token=root)
    await client.subscribe(pipeline_id="*")
    whole, broken = await in_database(make_pipeline), await in_database(make_pipeline)
    await in_database(run, whole, "extract", "load")
    await in_database(run, broken, "extract", action=Actions.BURY)
    await client.until("PipelineErrorEvent")
    await client.subscribe(pipeline_id=str(whole.pk))
    await client.until("snapshot")
    return client


async def _hear_the_rest(connect, root):
    client = await connect(token=root)
    await client.subscribe(task_id="*", batch=True)
    for status in ("processing", "completed"):
        await in_database(make_task, status)
    await client.until("batch")
    await client.send({"type": "ping"})
    await client.until("pong")
    await client.send({"type": "subscribe"})
    await client.until("error")
    await client.send({"type": "unsubscribe", "task_id": "*"})
    await client.until("unsubscribed")
    await client.until("heartbeat")
    (connection,) = (one for one in _connections() if one.batch)
    connection.resync("too_slow")
    await client.until("resync")
    return client


def _connections():
    from realtime import switchboard

    return switchboard.here().connections


def _check(held, frame):
    """Every field is one of the schema's, and what it should be."""
    reference = held["components"]["messages"][frame["type"]]["payload"]["$ref"]
    Draft7Validator({"$ref": reference, "components": held["components"]}).validate(frame)
    assert set(frame) <= set(held["components"]["schemas"][reference.rpartition("/")[2]]["properties"]), frame
