"""What browsers are told that our pages may load."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from tasks.dashboard.policy import POLICY, ContentSecurityPolicy

HEADER = "Content-Security-Policy"


def answer(**headers):
    return ContentSecurityPolicy(lambda request: HttpResponse(headers=headers))(RequestFactory().get("/"))


def test_nothing_inline_runs():
    assert "default-src 'self'" in POLICY
    assert "unsafe" not in POLICY
    assert answer()[HEADER] == POLICY


def test_a_page_may_bring_its_own():
    assert answer(**{HEADER: "default-src 'none'"})[HEADER] == "default-src 'none'"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login", "/nowhere"])
def test_every_page_is_sent_with_it(client, path):
    assert client.get(path)[HEADER] == POLICY
