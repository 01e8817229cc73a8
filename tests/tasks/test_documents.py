"""What is JSON of ours and what isn't, and that the error names the place. No database."""

from __future__ import annotations

import datetime as dt
import decimal
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.documents import DEPTH_LIMIT, LARGEST_INTEGER, SMALLEST_INTEGER, check_document
from tasks.exceptions import InvalidTask

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(SMALLEST_INTEGER, LARGEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
documents = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner))
poison = st.sampled_from(
    ["\0", "a\0b", "\ud800", "x\udfff", float("nan"), float("inf"), -float("inf"), 2**64, -(2**63) - 1, b"", 1j, {1}]
)


def refused(value: object) -> str:
    """The place that the error names."""
    with pytest.raises(InvalidTask) as raised:
        check_document(value)
    (error,) = raised.value.errors
    assert error.message.endswith(".")
    return error.field


@given(documents)
def test_json_passes_and_survives_the_wire(value):
    check_document(value)
    assert json.loads(json.dumps(value)) == value


@given(documents, poison)
def test_one_bad_value_spoils_a_document_and_is_found(value, bad):
    assert refused({"good": value, "list": [value, {"deep": bad}]}) == "list[1].deep"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("\0", "NUL"),
        ("\ud83d", "lone surrogate"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        (LARGEST_INTEGER + 1, "more than 64 bits"),
        (SMALLEST_INTEGER - 1, "more than 64 bits"),
        (dt.date(2026, 11, 1), "a date"),
        (decimal.Decimal(1), "a Decimal"),
        ({1: 2}, "a key that is no string: 1"),
        ({"a\0": 2}, "NUL"),
        ({"\ud800": 2}, "lone surrogate"),
        ({"a"}, "a set"),
        (b"a", "a bytes"),
    ],
)
def test_each_refusal_says_what_is_wrong(value, problem):
    with pytest.raises(InvalidTask, match=problem):
        check_document({"payload": value})


@pytest.mark.parametrize("value", [LARGEST_INTEGER, SMALLEST_INTEGER, "\ufffd", "\U0001f600", -0.0, 5e-324, True])
def test_what_lies_just_within_the_limits_passes(value):
    check_document({"payload": value})


def nested(levels: int, container: str) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value] if container == "list" else {"a": value}
    return value


@pytest.mark.parametrize("container", ["list", "dict"])
def test_nesting_is_limited(container):
    check_document(nested(DEPTH_LIMIT, container))
    refused(nested(DEPTH_LIMIT + 1, container))
    refused(nested(50_000, container))


def test_the_named_place_can_be_stored_and_shown_whatever_the_keys_are():
    place = refused({"\ud800" * 500: [float("nan")]})
    place.encode()
    assert len(place) <= 200
    assert "\0" not in refused({"a\0b" * 100: 1})
