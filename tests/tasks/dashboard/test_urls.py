"""Names that others rely on: settings, links, templates."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse


def test_the_addresses_are_where_they_were():
    id = uuid.uuid4()
    assert reverse("dashboard") == "/"
    assert reverse("task", args=[id]) == f"/tasks/{id}/"
    assert reverse("login") == "/login"
    assert reverse("signin", args=["x"]) == "/signin/x"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/tasks/019abcde-f012-7345-8678-9abcdef01234", "/pipelines", "/admin"])
def test_a_forgotten_slash_is_put_right(client, path):
    answer = client.get(f"{path}?q=x")
    assert (answer.status_code, answer["Location"]) == (301, f"{path}/?q=x")
