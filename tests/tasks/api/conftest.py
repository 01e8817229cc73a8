"""Clients of the API, one for each role. A client answers with Django's test response; bodies are given as Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from tasks import access

SCOPES = ("submit", "read", "operate", "admin")


class Api:
    """Requests below `/api/v1` as the holder of one token, or as nobody."""

    def __init__(self, user: Any = None, scopes: tuple[str, ...] = SCOPES) -> None:
        self.user = user
        headers = {"Authorization": f"Bearer {access.make_token(user, scopes)[1]}"} if user else {}
        self.client = Client(headers=headers, raise_request_exception=False)

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> Any:
        return self.client.get(_address(path), query or {}, headers=headers)

    def post(self, path: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic("POST", _address(path), data, content_type, headers=headers)

    def delete(self, path: str) -> Any:
        return self.client.delete(_address(path))


def _address(path: str) -> str:
    return path if path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "http")) else f"/api/v1{path}"


@pytest.fixture
def api(db) -> Callable[..., Api]:
    """`api("alice", "operator")`: a client for a user of that name, who is made, in those ready-made groups."""

    def make(name: str, *groups: str, scopes: tuple[str, ...] = SCOPES) -> Api:
        user, _ = get_user_model().objects.get_or_create(username=name)
        user.groups.add(*Group.objects.filter(name__in=groups))
        return Api(user, scopes)

    return make


@pytest.fixture
def anonymous(db) -> Api:
    return Api()


@pytest.fixture
def submitter(api) -> Api:
    return api("sam", "submitter")


@pytest.fixture
def viewer(api) -> Api:
    return api("vera", "viewer")


@pytest.fixture
def operator(api) -> Api:
    return api("otto", "operator")


def assert_problem(response: Any, status: int, *fields: str) -> dict[str, Any]:
    """It is that problem, and `errors` names those fields and no others."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["type"]) == (status, "about:blank")
    assert body["title"]
    assert body["detail"]
    assert sorted(error["field"] for error in body.get("errors", [])) == sorted(fields)
    return body
