"""One request, and what each kind of answer means. The receivers here are well-behaved."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tasks.callbacks.request import Sender, Verdict
from tasks.callbacks.signature import generate_secret
from tests.tasks.callbacks.conftest import LOOPBACK, SECRET, make_callback


@pytest.fixture
def answering(receive):
    """The URL of a server that always answers the same."""

    async def start(**response) -> str:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(**response)

        return await receive(answer)

    return start


@pytest.fixture
async def recording(receive):
    """The URL of a server that keeps requests and their bodies, and answers 200; and what it kept."""
    requests: list[tuple[web.Request, bytes]] = []

    async def record(request: web.Request) -> web.Response:
        requests.append((request, await request.read()))
        return web.Response()

    return await receive(record), requests


async def test_what_is_sent(recording, sender):
    url, requests = recording
    callback = make_callback(url + "?sig=a%2Fb", payload={"name": "Zoë", "n": 1}, attempt=3, headers={"X-Team": "ops"})
    answer = await sender.send(callback)
    ((request, body),) = requests
    assert answer.outcome is Verdict.COMPLETED
    assert (request.method, request.raw_path) == ("POST", "/hook?sig=a%2Fb")
    assert json.loads(body) == {"name": "Zoë", "n": 1}
    assert Webhook(SECRET).verify(body, dict(request.headers)) == {"name": "Zoë", "n": 1}
    sent = {name.lower(): value for name, value in request.headers.items()}
    del sent["webhook-timestamp"], sent["webhook-signature"]
    assert sent == {
        "host": f"127.0.0.1:{request.url.port}",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "TaskHub/test",
        "webhook-id": callback.task_id,
        "taskhub-attempt": "3",
        "taskhub-task-url": callback.task_url,
        "taskhub-attempt-token": "token",
        "x-team": "ops",
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_methods(recording, sender, method):
    url, requests = recording
    await sender.send(make_callback(url, method=method))
    assert [request.method for request, _ in requests] == [method]


async def test_a_user_agent_of_ones_own_replaces_ours(recording, sender):
    url, requests = recording
    await sender.send(make_callback(url, headers={"User-Agent": "theirs"}))
    assert requests[0][0].headers.getall("user-agent") == ["theirs"]


async def test_both_secrets_sign_while_one_is_replaced(recording, sender):
    url, requests = recording
    secrets = [generate_secret(), generate_secret()]
    await sender.send(make_callback(url, secrets=secrets))
    ((request, body),) = requests
    for secret in secrets:
        Webhook(secret).verify(body, dict(request.headers))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226, 299])
async def test_2xx_completes(answering, sender, status):
    answer = await sender.send(make_callback(await answering(status=status)))
    assert (answer.outcome, answer.status, answer.error) == (Verdict.COMPLETED, status, None)


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (300, "300 Multiple Choices"),
        (301, "301 Moved Permanently"),
        (304, "304 Not Modified"),
        (307, "307 Temporary Redirect"),
        (400, "400 Bad Request"),
        (401, "401 Unauthorized"),
        (404, "404 Not Found"),
        (429, "429 Too Many Requests"),
        (500, "500 Internal Server Error"),
        (503, "503 Service Unavailable"),
        (599, "599"),
        (999, "999"),
    ],
)
async def test_other_statuses_fail(answering, sender, status, phrase):
    url = await answering(status=status, reason="Whatever they say", headers={"Location": "/elsewhere"})
    answer = await sender.send(make_callback(url))
    assert (answer.outcome, answer.status) == (Verdict.FAILED, status)
    assert answer.error == {"type": "CallbackStatus", "detail": f"127.0.0.1 answered {phrase}."}
    assert answer.result is None


async def test_410_is_final(answering, sender):
    answer = await sender.send(make_callback(await answering(status=410, text="not any more")))
    assert (answer.outcome, answer.body) == (Verdict.GONE, "not any more")
    assert answer.error == {"type": "CallbackStatus", "detail": "127.0.0.1 answered 410 Gone."}


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (202, {"taskhub-defer": "1"}, Verdict.DEFERRED),
        (202, {"TaskHub-Defer": " 1 "}, Verdict.DEFERRED),
        (202, {"taskhub-defer": "0"}, Verdict.COMPLETED),
        (202, {}, Verdict.COMPLETED),
        (200, {"taskhub-defer": "1"}, Verdict.COMPLETED),
        (500, {"taskhub-defer": "1"}, Verdict.FAILED),
    ],
)
async def test_deferral(answering, sender, status, headers, outcome):
    url = await answering(status=status, headers=headers, text='{"a": 1}', content_type="application/json")
    answer = await sender.send(make_callback(url))
    assert answer.outcome is outcome
    assert answer.result == ({"a": 1} if outcome is Verdict.COMPLETED else None)


@pytest.mark.parametrize(
    ("body", "content_type", "result"),
    [
        ('{"rows": 3, "who": "Zoë"}', "application/json", {"rows": 3, "who": "Zoë"}),
        ("[1, 2.5, null]", "application/json; charset=utf-8", [1, 2.5, None]),
        ('"text"', "Application/JSON", "text"),
        ('{"a": 1}', "application/vnd.acme+json", {"a": 1}),
        ('{"a": 1}', "text/plain", None),
        ('{"a": 1}', "application/jsonp", None),
        ('{"a": 1', "application/json", None),
        ("", "application/json", None),
        ("NaN", "application/json", None),
        ("[Infinity]", "application/json", None),
        ("1e400", "application/json", None),
        ('"a\\u0000b"', "application/json", None),
        ('"\\ud800"', "application/json", None),
        ("9" * 5000, "application/json", None),
        ("[" * 200 + "]" * 200, "application/json", None),
        ("[" * 60_000, "application/json", None),
        (b'"\xff"', "application/json", None),
    ],
)
async def test_the_result_is_the_json_of_the_body(answering, sender, body, content_type, result):
    content = body if isinstance(body, bytes) else body.encode()
    answer = await sender.send(make_callback(await answering(body=content, headers={"Content-Type": content_type})))
    assert answer.outcome is Verdict.COMPLETED
    assert answer.result == result
    assert answer.body == content.decode(errors="replace")


async def test_a_failure_has_no_result(answering, sender):
    url = await answering(status=500, text='{"a": 1}', content_type="application/json")
    answer = await sender.send(make_callback(url))
    assert (answer.result, answer.body) == (None, '{"a": 1}')


async def test_bodies_become_text_that_can_be_stored(answering, sender):
    answer = await sender.send(make_callback(await answering(body=b"a\0b\xff\xed\xa0\x80c")))
    assert answer.body == "ab\ufffd\ufffd\ufffd\ufffdc"
    assert not answer.truncated


@pytest.mark.parametrize(("size", "truncated"), [(65_535, False), (65_536, False), (65_537, True), (300_000, True)])
async def test_64_kib_are_kept(answering, sender, size, truncated):
    body = b'"' + b"x" * (size - 2) + b'"'
    answer = await sender.send(make_callback(await answering(body=body, content_type="application/json")))
    assert answer.outcome is Verdict.COMPLETED
    assert (answer.truncated, len(answer.body)) == (truncated, min(size, 65_536))
    assert (answer.result is None) is truncated


async def test_only_listed_headers_are_kept(answering, sender):
    headers = {"X-Request-Id": "r1", "Server": "s" * 600, "Set-Cookie": "session=secret", "X-Secret": "secret"}
    url = await answering(text="", headers=headers)
    answer = await sender.send(make_callback(url))
    assert answer.headers.keys() == {"content-length", "content-type", "date", "server", "x-request-id"}
    assert answer.headers["x-request-id"] == "r1"
    assert answer.headers["server"] == "s" * 500
    assert "secret" not in repr(answer)


async def test_cookies_are_not_given_back(receive, sender):
    seen = []

    async def bake(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "session=1; Path=/"})

    url = (await receive(bake)).replace("127.0.0.1", "localhost")
    for _ in range(2):
        assert (await sender.send(make_callback(url))).outcome is Verdict.COMPLETED
    assert seen == [None, None]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("86401", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("-1", None),
        ("1.5", None),
        ("1_0", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 2994 08:49:37 +99999999999999", None),
        ("Sun, 99 Nov 2994 08:49:37 GMT", None),
    ],
)
async def test_retry_after(answering, sender, status, value, seconds):
    answer = await sender.send(make_callback(await answering(status=status, headers={"Retry-After": value})))
    assert answer.retry_after == seconds


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
async def test_retry_after_a_date_in_each_form_of_http(answering, sender, form):
    date = (datetime.now(UTC) + timedelta(hours=1)).strftime(form)
    answer = await sender.send(make_callback(await answering(status=503, headers={"Retry-After": date})))
    assert 3500 < answer.retry_after <= 3600


@pytest.mark.parametrize("status", [200, 301, 410, 500])
async def test_retry_after_is_not_for_other_statuses(answering, sender, status):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for value in ("60", later):
        answer = await sender.send(make_callback(await answering(status=status, headers={"Retry-After": value})))
        assert answer.retry_after is None


async def test_an_interrupted_request_is_not_sent_again(listen, sender):
    requests = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1

    url = await listen(hang_up)
    answers = [await sender.send(make_callback(url, method=method)) for method in ("PUT", "POST", "PATCH")]
    assert {answer.error["type"] for answer in answers} == {"CallbackConnection"}
    assert requests == 3


async def test_250_requests_are_under_way_at_once(receive, sender):
    """The receiver answers nobody until everybody has arrived."""
    everybody = asyncio.Barrier(250)

    async def hold(request: web.Request) -> web.Response:
        await everybody.wait()
        return web.json_response({"id": request.headers["webhook-id"]})

    url = await receive(hold)
    callbacks = [make_callback(url, task_id=f"task-{number}", timeout=60) for number in range(250)]
    answers = await asyncio.gather(*(sender.send(callback) for callback in callbacks))
    assert [answer.result for answer in answers] == [{"id": f"task-{number}"} for number in range(250)]


async def test_connections_are_used_again(receive, sender):
    peers = set()

    async def note(request: web.Request) -> web.Response:
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response()

    url = await receive(note)
    for _ in range(5):
        await sender.send(make_callback(url))
    assert len(peers) == 1


async def test_a_cancelled_request_hangs_up(listen, sender):
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        while await reader.read(65_536):
            pass
        gone.set()

    task = asyncio.create_task(sender.send(make_callback(await listen(wait))))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        await gone.wait()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "ftp://example.com"}, "begin with http"),
        ({"headers": {"Host": "evil"}}, "The header Host"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "The header X-A"),
        ({"secrets": ["nonsense"]}, "begin with whsec_"),
        ({"secrets": []}, "secret is missing"),
        ({"task_id": "a.b"}, "full stop"),
        ({"payload": {"n": float("nan")}}, "not JSON compliant"),
        ({"payload": {"s": {1}}}, "not JSON serializable"),
        ({"payload": {"s": "\ud800"}}, "surrogates not allowed"),
    ],
)
async def test_what_cannot_be_sent_is_an_answer_too(recording, sender, fields, sentence):
    url, requests = recording
    answer = await sender.send(make_callback(**{"url": url} | fields))
    assert (answer.outcome, answer.status, answer.error["type"]) == (Verdict.FAILED, None, "CallbackInvalid")
    assert sentence in answer.error["detail"]
    assert requests == []


async def test_a_name_that_does_not_exist(dns, sender):
    answer = await sender.send(make_callback("http://nowhere.example/"))
    assert answer.error == {"type": "CallbackConnection", "detail": "nowhere.example could not be resolved."}


async def test_a_port_where_nobody_listens(sender):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = await sender.send(make_callback(f"http://127.0.0.1:{port}/"))
    assert (answer.outcome, answer.status) == (Verdict.FAILED, None)
    detail = "127.0.0.1 could not be connected to: Connection refused."
    assert answer.error == {"type": "CallbackConnection", "detail": detail}


async def test_what_nobody_foresaw_is_an_answer_and_logged(sender, monkeypatch, caplog):
    def fail(self, url):
        raise KeyError("surprise")

    monkeypatch.setattr(type(LOOPBACK), "check_url", fail)
    answer = await sender.send(make_callback("http://127.0.0.1/"))
    assert answer.error == {"type": "CallbackError", "detail": "The request failed: KeyError."}
    assert "surprise" in caplog.text


def test_a_callback_does_not_show_its_secrets():
    shown = repr(make_callback("http://u.example/?key=canary", payload={"x": "canary"}, headers={"A": "canary"}))
    assert SECRET not in shown
    assert "canary" not in shown
    assert "token='token'" not in shown


async def test_a_sender_can_be_opened_again(answering):
    url = await answering()
    sender = Sender(LOOPBACK, "TaskHub/test")
    for _ in range(2):
        async with sender:
            assert (await sender.send(make_callback(url))).outcome is Verdict.COMPLETED
