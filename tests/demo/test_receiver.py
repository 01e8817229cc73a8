"""The receiver, as the hub and as a newcomer's browser meet it."""

from __future__ import annotations

import json
import time

import pytest
from aiohttp import web
from django.conf import settings

from demo import receiver as module
from tasks.callbacks.signature import sign

PAYLOAD = {"order": 4711}


@pytest.fixture(autouse=True)
def receiver(monkeypatch):
    """A new one for each test."""
    monkeypatch.setattr(module, "receiver", module.Receiver())
    return module.receiver


@pytest.fixture
def deliver(client):
    def deliver(path: str, body: bytes = json.dumps(PAYLOAD).encode(), **changed: str):
        timestamp = int(time.time())
        headers = {
            "webhook-id": "018f3c1e",
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(settings.TASKHUB_CALLBACK_SECRET, "018f3c1e", timestamp, body),
            "taskhub-attempt": "1",
            "taskhub-task-url": "http://localhost/api/v1/tasks/018f3c1e",
            "taskhub-attempt-token": "t" * 64,
        } | changed
        return client.post(f"/demo/receiver{path}", body, content_type="application/json", headers=headers)

    return deliver


@pytest.fixture
async def hub(receiver, async_client):
    """Stands for the hub that a result is reported to."""

    class Hub:
        def __init__(self) -> None:
            self.status = 200
            self.reported: list[tuple[str, str, object]] = []

        async def take(self, request: web.Request) -> web.Response:
            self.reported.append((request.path, request.headers["taskhub-attempt-token"], await request.json()))
            return web.Response(status=self.status)

        async def finish(self) -> None:
            receiver.accepted[f"http://127.0.0.1:{port}/api/v1/tasks/1"] = "t" * 64
            assert (await async_client.post("/demo/receiver/finish")).status_code == 302

    hub = Hub()
    app = web.Application()
    app.router.add_post("/{path:.*}", hub.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield hub
    await runner.cleanup()


def test_a_delivery_is_answered_with_what_it_brought(deliver, receiver):
    response = deliver("")
    assert (response.status_code, response.json()) == (200, {"received": PAYLOAD})
    assert [(delivery.task_id, delivery.answer) for delivery in receiver.deliveries] == [("018f3c1e", 200)]


@pytest.mark.parametrize("path", ["", "/broken", "/later"])
def test_whoever_did_not_sign_is_turned_away_and_leaves_no_trace(deliver, receiver, path):
    receiver.is_broken = False
    response = deliver(path, **{"webhook-id": "other"})
    assert response.status_code == 401
    assert not receiver.deliveries
    assert not receiver.accepted


def test_the_broken_one_can_be_repaired_and_broken_again(client, deliver):
    assert deliver("/broken").status_code == 500
    client.post("/demo/receiver/repair")
    assert deliver("/broken").status_code == 200
    client.post("/demo/receiver/break")
    assert deliver("/broken").status_code == 500
    assert deliver("").status_code == 200


def test_the_one_that_answers_later_keeps_the_token(deliver, receiver):
    response = deliver("/later")
    assert (response.status_code, response["taskhub-defer"]) == (202, "1")
    assert receiver.accepted == {"http://localhost/api/v1/tasks/018f3c1e": "t" * 64}


def test_a_body_that_is_no_json_is_no_error_of_ours(deliver):
    assert deliver("", body=b"\xff{").json() == {"received": None}


@pytest.mark.parametrize("path", ["", "/broken", "/later", "/break", "/repair", "/finish"])
def test_nothing_is_done_by_looking(client, path):
    assert client.get(f"/demo/receiver{path}").status_code == 405


async def test_finish_reports_a_result_for_each_that_was_accepted(receiver, hub):
    await hub.finish()
    assert hub.reported == [("/api/v1/tasks/1/result", "t" * 64, {"result": {"shipped": True}})]
    assert receiver.accepted == {}


async def test_what_the_hub_did_not_take_is_kept(receiver, hub):
    hub.status = 503
    await hub.finish()
    assert len(receiver.accepted) == 1


def test_finish_with_nothing_to_finish(client):
    assert client.post("/demo/receiver/finish").headers["location"] == "/demo/"


@pytest.mark.django_db
def test_the_page_shows_what_arrived(client, alice, deliver):
    deliver("")
    deliver("/later")
    client.force_login(alice)
    page = client.get("/demo/").content.decode()
    assert "018f3c1e" in page
    assert "Is broken: it answers 500" in page
    assert "&quot;order&quot;: 4711" in page
    assert "1 waiting" in page


def test_the_page_is_for_who_is_signed_in(client):
    assert client.get("/demo/").status_code == 302
