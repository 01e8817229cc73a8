"""The check that a receiver makes, against the library of the specification's authors. No database."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from demo.signature import TOLERANCE, is_genuine
from tasks.callbacks.signature import generate_secret, sign

SECRET = generate_secret()
BODY = b'{"order": 4711}'


def headers(secret: str = SECRET, body: bytes = BODY, at: float | None = None, id: str = "task") -> dict[str, str]:
    timestamp = int(time.time() if at is None else at)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, id, timestamp, body),
    }


@given(st.binary(max_size=200))
def test_what_the_hub_signs_is_genuine_to_us_and_to_the_library(body):
    signed = headers(body=body)
    assert is_genuine(SECRET, signed, body)


def test_the_library_agrees():
    assert Webhook(SECRET).verify(BODY.decode(), headers()) == {"order": 4711}
    now = dt.datetime.now(dt.UTC)
    theirs = {
        "webhook-id": "task",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("task", now, BODY.decode()),
    }
    assert is_genuine(SECRET, theirs, BODY)


@pytest.mark.parametrize("seconds", [-TOLERANCE - 5, TOLERANCE + 5])
def test_what_is_old_or_from_the_future_is_not(seconds):
    assert not is_genuine(SECRET, headers(at=time.time() + seconds), BODY)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": str(int(time.time()) + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": ""},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,é"},
    ],
)
def test_a_header_that_was_changed(changed):
    assert not is_genuine(SECRET, headers() | changed, BODY)


def test_a_body_or_a_secret_that_is_another():
    assert not is_genuine(SECRET, headers(), BODY + b" ")
    assert not is_genuine(generate_secret(), headers(), BODY)
    assert not is_genuine(SECRET, {}, BODY)


def test_while_the_secret_is_replaced_either_signature_counts():
    new = generate_secret()
    both = headers(secret=f"{new} {SECRET}")
    assert is_genuine(SECRET, both, BODY)
    assert is_genuine(new, both, BODY)
