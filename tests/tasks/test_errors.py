"""How errors are written down and told apart. No database."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import errors


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("row 17 is gone", "row 4711 is gone"),
        ("at 0xdeadbeef", "at 0xCAFE"),
        ("no file 'a.txt'", "no file 'b/c.txt'"),
        ('key "x"', 'key "a longer one"'),
        ("task 018f3c1e-0000-7000-8000-000000000000 lost", "task 018f3c1e-1111-7abc-9def-123456789abc lost"),
    ],
)
def test_what_only_varies_is_the_same_error(one, other):
    assert errors.fingerprint("a", "E", one) == errors.fingerprint("a", "E", other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "E", "gone"), ("b", "E", "gone")),
        (("a", "E", "gone"), ("a", "F", "gone")),
        (("a", "E", "gone"), ("a", "E", "lost")),
    ],
)
def test_another_handler_type_or_sentence_is_another_error(one, other):
    assert errors.fingerprint(*one) != errors.fingerprint(*other)


def test_an_exception_keeps_its_type_text_and_traceback():
    try:
        raise KeyError("month")
    except KeyError as error:
        described = errors.of_exception("reports.build", error)
    assert (described["type"], described["detail"]) == ("KeyError", "'month'")
    assert 'raise KeyError("month")' in described["traceback"]
    assert described["fingerprint"] == errors.fingerprint("reports.build", "KeyError", "'month'")


def test_the_frames_of_the_caller_may_be_left_out():
    def handler() -> None:
        json.loads("{")

    try:
        handler()
    except ValueError as error:
        whole, less = errors.of_exception("a", error), errors.of_exception("a", error, without=__file__)
    assert __file__ in whole["traceback"]
    assert __file__ not in less["traceback"]
    assert "json/decoder.py" in less["traceback"]
    assert (less["detail"], less["fingerprint"]) == (whole["detail"], whole["fingerprint"])


def test_an_exception_that_cannot_be_printed_is_still_an_error():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    described = errors.of_exception("a", Mute())
    assert described["type"].endswith("Mute")
    assert described["detail"]


def test_long_details_and_tracebacks_are_cut_at_the_end_that_says_less():
    described = errors.of_exception("a", RuntimeError("x" * 100_000))
    assert len(described["detail"]) == errors.DETAIL_LIMIT
    assert len(described["traceback"]) <= errors.TRACEBACK_LIMIT
    assert described["traceback"].rstrip().endswith("x")


@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_becomes_storable(text):
    stored = errors.describe("a", "E", text)["detail"]
    assert "\0" not in stored
    stored.encode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=errors.DETAIL_LIMIT))
def test_ordinary_text_is_kept_as_it_is(text):
    assert errors.describe("a", "E", text)["detail"] == text


def test_more_is_kept_beside():
    assert errors.describe("a", "E", "gone", status=410)["status"] == 410
