"""The places in a payload where results and the input go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.exceptions import InvalidTask
from tasks.pipelines.references import Reference, fill, needed, references

PAYLOAD = {"rows": [{"$result": "extract"}, 1], "opts": {"day": {"$input": True}}, "plain": "x"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda key: key[:1] != "$"), inner),
    max_leaves=20,
)


def test_places_are_found_with_their_paths():
    assert list(references(PAYLOAD)) == [Reference("payload.rows[0]", "extract"), Reference("payload.opts.day", None)]
    assert needed(PAYLOAD) == {"extract"}


def test_everything_is_put_in_and_the_template_stays_as_it_was():
    before = repr(PAYLOAD)
    filled = fill(PAYLOAD, {"extract": [1, 2]}, "monday")
    assert filled == {"rows": [[1, 2], 1], "opts": {"day": "monday"}, "plain": "x"}
    assert repr(PAYLOAD) == before


def test_a_whole_payload_may_be_a_place():
    assert fill({"$result": "a"}, {"a": {"value": 1}}, None) == {"value": 1}
    assert fill({"$input": True}, {}, {"value": 1}) == {"value": 1}


def test_what_is_put_in_is_not_searched():
    assert fill({"a": {"$result": "x"}}, {"x": {"$input": True}}, "secret") == {"a": {"$input": True}}


@pytest.mark.parametrize(
    "value",
    [{"$result": 1}, {"$result": "a", "more": 1}, {"$input": False}, {"$input": 1}, {"$input": True, "$result": "a"}],
)
def test_what_looks_like_a_place_and_is_none_is_refused(value):
    with pytest.raises(InvalidTask) as raised:
        list(references({"a": [value]}))
    assert raised.value.errors[0].field == "payload.a[0]"


@settings(max_examples=40)
@given(JSON)
def test_without_places_nothing_changes(value):
    assert needed(value) == set()
    assert fill(value, {}, "input") == value
