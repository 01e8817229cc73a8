"""Every error has one form, wherever it came from; what went wrong inside stays in the log."""

from __future__ import annotations

import asyncio
import json

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import InterfaceError, OperationalError
from django.test import Client

from taskhub.asgi import application
from tasks import access, counts
from tasks.models import Task, Token
from tests.factories import make_task
from tests.tasks.api.conftest import assert_problem


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/", "/api/v1", "/api/", "/api/v2/tasks", "/api/v1/tasks/"])
def test_an_unknown_address(viewer, path):
    assert_problem(viewer.client.get(path), 404)


def test_other_pages_have_their_own_errors(client, db):
    response = client.get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_is_not_there(viewer, method):
    response = viewer.client.generic(method, "/api/v1/tasks")
    assert_problem(response, 405)
    assert response["Allow"] == "GET, HEAD, POST"


def test_head_is_get_without_a_body(viewer):
    response = viewer.client.head("/api/v1/tasks")
    assert (response.status_code, response.content) == (200, b"")


def test_without_a_credential(anonymous):
    response = anonymous.get("/tasks")
    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == 'Bearer realm="taskhub"'


@pytest.mark.parametrize("value", ["Bearer x", "Bearer", "bearer th_" + "x" * 43, "Bearer \x00", "Bearer a b"])
def test_with_a_bad_token(anonymous, value):
    response = anonymous.get("/tasks", Authorization=value)
    assert_problem(response, 401)
    assert 'error="invalid_token"' in response["WWW-Authenticate"]


def test_a_bad_token_is_not_passed_over_for_a_good_session(client, alice):
    client.force_login(alice)
    assert client.get("/api/v1/tasks").status_code == 200
    assert_problem(client.get("/api/v1/tasks", headers={"Authorization": "Bearer x"}), 401)


@pytest.mark.parametrize("end", ["expire", "revoke", "deactivate"])
def test_a_token_that_has_ended(submitter, end):
    if end == "expire":
        Token.objects.update(expires_at="2020-01-01T00:00:00Z")
    elif end == "revoke":
        access.revoke(Token.objects.all())
    else:
        submitter.user.is_active = False
        submitter.user.save()
    assert_problem(submitter.get("/tasks"), 401)


@pytest.mark.parametrize(
    ("scopes", "method", "path", "missing"),
    [
        (("submit", "operate"), "GET", "/tasks", "read"),
        (("read", "operate"), "POST", "/tasks", "submit"),
        (("submit", "read"), "POST", "/queues/default/pause", "operate"),
        (("submit", "read", "operate"), "GET", "/tokens", "admin"),
    ],
)
def test_a_scope_that_is_missing_is_named(api, scopes, method, path, missing):
    client = api("root", "admin", scopes=scopes)
    response = client.client.generic(method, f"/api/v1{path}")
    assert assert_problem(response, 403)["detail"] == f"The token lacks the scope {missing}."


def test_a_permission_that_is_missing_is_named(viewer):
    assert "tasks.submit_tasks" in assert_problem(viewer.post("/tasks", {"name": "test.echo"}), 403)["detail"]


def test_a_session_needs_the_csrf_token_to_write(alice, operator):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator.user)
    body = json.dumps({"name": "test.echo"})
    refused = browser.post("/api/v1/tasks", body, content_type="application/json")
    assert "CSRF" in assert_problem(refused, 403)["detail"]
    browser.cookies["csrftoken"] = "a" * 32
    accepted = browser.post("/api/v1/tasks", body, content_type="application/json", headers={"X-CSRFToken": "a" * 32})
    assert accepted.status_code == 201


def test_a_forged_host(viewer):
    assert_problem(viewer.get("/tasks", Host="evil.example"), 400)


@pytest.mark.parametrize("error", [OperationalError("canary"), InterfaceError("canary")])
def test_a_database_that_is_away(viewer, monkeypatch, error):
    monkeypatch.setattr(counts, "queue_status", lambda: (_ for _ in ()).throw(error))
    response = viewer.get("/queue/status")
    assert_problem(response, 503)
    assert int(response["Retry-After"]) > 0
    assert b"canary" not in response.content


def test_a_mistake_of_ours_is_logged_and_not_shown(viewer, monkeypatch, caplog):
    monkeypatch.setattr(counts, "queue_status", lambda: 1 / 0)
    response = viewer.get("/queue/status")
    assert_problem(response, 500)
    assert b"ZeroDivision" not in response.content
    assert "ZeroDivisionError" in caplog.text


def test_a_form_that_cannot_be_read(client, alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    response = browser.generic("POST", "/api/v1/tasks", b"--x", "multipart/form-data; boundary=" + "x" * 300)
    assert response["Content-Type"] == "application/problem+json"
    assert response.status_code in (400, 403)


# -- as a server hands it to us --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
async def test_a_body_in_chunks_without_a_length(api):
    client = await asyncio.to_thread(api, "sam", "submitter")
    status, body = await asgi(
        "POST",
        "/api/v1/tasks",
        [b'{"name": ', b'"test.echo"}'],
        {
            "authorization": client.client.defaults["HTTP_AUTHORIZATION"],
            "content-type": "application/json",
            "transfer-encoding": "chunked",
            "host": "localhost",
        },
    )
    assert status == 201, body
    assert await Task.objects.acount() == 1


async def test_an_unknown_address_by_asgi():
    status, body = await asgi("GET", "/api/v1/nothing", [], {"host": "localhost"})
    assert (status, body["status"]) == (404, 404)


async def asgi(method: str, path: str, chunks: list[bytes], headers: dict[str, str]) -> tuple[int, dict]:
    """Status and decoded body of a request that comes in pieces."""
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    server = ApplicationCommunicator(application, scope)
    for chunk in chunks:
        await server.send_input({"type": "http.request", "body": chunk, "more_body": True})
    await server.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await server.receive_output(timeout=10)
    body = await server.receive_output(timeout=10)
    await server.wait(timeout=10)
    return start["status"], json.loads(body["body"])


def test_what_is_hidden_and_what_is_missing_look_the_same(submitter, alice):
    hidden = submitter.get(f"/tasks/{make_task(owner=alice).pk}")
    missing = submitter.get("/tasks/019abcde-f012-7345-8678-9abcdef01234")
    assert hidden.content == missing.content
