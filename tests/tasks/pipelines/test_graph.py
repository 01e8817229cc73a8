"""What depends on what."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.pipelines.graph import ancestors, circle, ends, layers, ready

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


@st.composite
def graphs(draw):
    """Graphs without circles: each step depends on some that were drawn before it."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 12)))]
    order = draw(st.permutations(names))
    return {name: draw(st.lists(st.sampled_from(order[:i]), unique=True)) if i else [] for i, name in enumerate(order)}


def test_a_diamond():
    assert circle(DIAMOND) == []
    assert ancestors(DIAMOND) == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"a", "b", "c"}}
    assert ends(DIAMOND) == ["d"]
    assert layers(DIAMOND) == [["a"], ["b", "c"], ["d"]]


@pytest.mark.parametrize(
    "graph",
    [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"x": [], "a": ["c", "x"], "b": ["a"], "c": ["b"], "y": ["c"]}],
)
def test_a_circle_is_found_and_each_of_it_needs_the_one_before(graph):
    found = circle(graph)
    assert found
    assert all(before in graph[step] for before, step in zip([found[-1], *found], found, strict=False))


@settings(max_examples=30)
@given(graphs())
def test_layers_hold_each_step_once_and_after_what_it_needs(graph):
    depth = {step: number for number, layer in enumerate(layers(graph)) for step in layer}
    assert sum(map(len, layers(graph))) == len(graph) == len(depth)
    assert all(depth[before] < depth[step] for step, befores in graph.items() for before in befores)


@settings(max_examples=30)
@given(graphs())
def test_what_is_ready_runs_every_graph_to_its_end(graph):
    complete: set[str] = set()
    while now := list(ready(graph, complete, complete)):
        assert all(before in complete for step in now for before in graph[step])
        complete.update(now)
    assert complete == set(graph)


def test_what_has_begun_is_not_ready_again():
    assert list(ready(DIAMOND, {"a"}, {"a", "b"})) == ["c"]


def test_nothing_has_no_layers():
    assert layers({}) == []
