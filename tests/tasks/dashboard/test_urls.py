"""Names that others rely on: settings, links, templates."""

from __future__ import annotations

import uuid

from django.urls import reverse


def test_the_addresses_are_where_they_were():
    id = uuid.uuid4()
    assert reverse("dashboard") == "/"
    assert reverse("task", args=[id]) == f"/tasks/{id}/"
    assert reverse("login") == "/login"
    assert reverse("signin", args=["x"]) == "/signin/x"
