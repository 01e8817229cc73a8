"""Each answer that is no success has its exception."""

from __future__ import annotations

import json

import pytest

import taskhub_client
from taskhub_client import errors
from tasks.api.problems import problem
from tasks.exceptions import FieldError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "InvalidRequest"), (401, "Unauthenticated"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"),
        (413, "InvalidRequest"), (415, "InvalidRequest"), (418, "APIError"), (422, "InvalidRequest"),
        (429, "RateLimited"), (500, "Unavailable"), (503, "Unavailable"),
    ],
)  # fmt: skip
def test_a_status_has_its_kind(status, kind):
    error = errors.of_answer(status, json.dumps({"detail": "Because."}).encode(), 7.0)
    assert type(error) is getattr(taskhub_client, kind)
    assert str(error) == "Because."
    assert error.retry_after == 7.0


def test_a_problem_of_the_hub_is_read_whole():
    body = json.dumps(problem(400, "It is invalid.", [FieldError("payload.month", "Give a month.")])).encode()
    error = errors.of_answer(400, body, None)
    assert isinstance(error, errors.InvalidRequest)
    assert (error.status, error.detail, error.errors) == (400, "It is invalid.", (("payload.month", "Give a month."),))
    assert str(error) == "It is invalid.; payload.month: Give a month."


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": ["no object"]}'])
def test_a_proxys_page_is_an_error_too(body):
    assert str(errors.of_answer(404, body, None)) == "The hub answered 404."


@pytest.mark.parametrize("code", errors.FINAL_CODES)
def test_a_final_close_has_the_exception_of_its_status(code):
    assert errors.of_close(code).status == code - 4000
