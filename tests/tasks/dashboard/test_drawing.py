"""Where steps are drawn: each once, none over another, and below what it needs."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings

from tasks.dashboard.drawing import COLUMNS, HEIGHT, WIDTH, draw
from tests.tasks.pipelines.test_graph import DIAMOND, graphs


@settings(max_examples=30)
@given(graphs())
def test_no_two_boxes_overlap_and_all_fit(graph):
    drawing = draw(graph)
    assert drawing.boxes.keys() == graph.keys()
    places = sorted((box.y, box.x) for box in drawing.boxes.values())
    assert all(y < below or x + WIDTH <= right for (y, x), (below, right) in pairwise(places))
    assert all(box.x >= 0 and box.x + WIDTH <= drawing.width for box in drawing.boxes.values())
    assert all(box.y >= 0 and box.y + HEIGHT <= drawing.height for box in drawing.boxes.values())


@settings(max_examples=30)
@given(graphs())
def test_time_runs_down_and_to_the_right(graph):
    boxes = draw(graph).boxes
    for step, befores in graph.items():
        for before in befores:
            assert (boxes[before].row, boxes[before].x) < (boxes[step].row, boxes[step].x)


@settings(max_examples=30)
@given(graphs())
def test_each_dependency_has_its_line(graph):
    drawing = draw(graph)
    lines = [(line.start, line.end) for line in drawing.lines]
    assert sorted(lines) == sorted((before, step) for step, befores in graph.items() for before in befores)
    assert all(re.fullmatch(r"M[-\d. ]+[CH][-\d. ]+", line.path) for line in drawing.lines)


def test_a_diamond():
    boxes = draw(DIAMOND).boxes
    assert [boxes[name].row for name in "abcd"] == [0, 1, 1, 2]
    assert boxes["a"].x == boxes["d"].x == (boxes["b"].x + boxes["c"].x) / 2


@pytest.mark.parametrize(
    "graph",
    [
        {f"s{n}": [f"s{n - 1}"] if n else [] for n in range(100)},
        {f"s{n}": [] for n in range(100)},
        {f"s{n}": ["s0"] if n else [] for n in range(100)},
    ],
)
def test_a_hundred_steps_take_no_more_rows_than_they_must(graph):
    drawing = draw(graph)
    assert max(box.row for box in drawing.boxes.values()) <= 100 / COLUMNS
    assert drawing.width < 1000


def test_steps_that_need_what_is_far_have_a_line_around_those_between():
    chain = {"a": [], "b": ["a"], "c": ["b", "a"]}
    drawing = draw(chain)
    assert {box.row for box in drawing.boxes.values()} == {0}
    assert [line.path[-1:] != "" and "C" in line.path for line in drawing.lines] == [False, False, True]


def test_lines_do_not_cross_when_they_need_not():
    boxes = draw({"a": [], "b": [], "of-b": ["b"], "of-a": ["a"]}).boxes
    assert boxes["of-a"].x < boxes["of-b"].x


def test_nothing_is_drawn_of_nothing():
    assert draw({}).boxes == {}
