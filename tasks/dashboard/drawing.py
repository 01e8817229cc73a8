"""Where the steps of a pipeline are drawn, and the lines between them. Pure.

Time runs down the page: what a step needs is above it. A layer that is too wide for one row goes on in the next; steps
that follow one another singly share a row, from left to right, so that a hundred of them still fit on a page or two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tasks.pipelines.graph import Graph, layers

WIDTH, HEIGHT = 176, 44  # of a step, in pixels
ACROSS, DOWN = 24, 34  # between two
COLUMNS = 5
MARGIN = 3  # for what is drawn around a step
Row = list[str]


@dataclass(frozen=True, slots=True)
class Box:
    """A step; `x` and `y` are its upper left corner."""

    name: str
    x: float
    y: float
    row: int


@dataclass(frozen=True, slots=True)
class Line:
    """From a step to one that depends on it. `path` is written in SVG's language."""

    start: str
    end: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of it, and how much room it takes."""

    width: float
    height: float
    boxes: dict[str, Box]
    lines: list[Line]


def draw(graph: Graph) -> Drawing:
    rows = _rows(graph)
    widest = max(map(len, rows), default=0)
    boxes = {name: box for number, row in enumerate(rows) for name, box in _boxes(row, number, widest).items()}
    lines = [
        Line(before, step, _path(boxes[before], boxes[step])) for step, befores in graph.items() for before in befores
    ]
    width = widest * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    return Drawing(width, len(rows) * (HEIGHT + DOWN) - DOWN + 2 * MARGIN, boxes, lines)


# -- rows ----------------------------------------------------------------------------------------------------------


def _rows(graph: Graph) -> list[Row]:
    rows: list[Row] = []
    chain = False  # whether the last row is one of single steps, to which another may be added
    for layer in _untangled(layers(graph), graph):
        single = len(layer) == 1
        if single and chain and len(rows[-1]) < COLUMNS:
            rows[-1].extend(layer)
        else:
            rows += [layer[first : first + COLUMNS] for first in range(0, len(layer), COLUMNS)]
        chain = single
    return rows


def _untangled(found: Sequence[Row], graph: Graph) -> list[Row]:
    """Each layer in the order of where the steps stand that it depends on, so that fewer lines cross."""
    places: dict[str, float] = {}
    ordered = []
    for layer in found:
        layer = sorted(layer, key=lambda step: _middle(graph[step], places))
        places |= {step: (place + 0.5) / len(layer) for place, step in enumerate(layer)}
        ordered.append(layer)
    return ordered


def _middle(befores: Collection[str], places: Mapping[str, float]) -> float:
    return sum(places[before] for before in befores) / len(befores) if befores else 0.5


# -- places --------------------------------------------------------------------------------------------------------


def _boxes(row: Row, number: int, widest: int) -> dict[str, Box]:
    """The row, in the middle of the drawing."""
    left = MARGIN + (widest - len(row)) * (WIDTH + ACROSS) / 2
    y = MARGIN + number * (HEIGHT + DOWN)
    return {name: Box(name, left + place * (WIDTH + ACROSS), y, number) for place, name in enumerate(row)}


def _path(start: Box, end: Box) -> str:
    if start.row == end.row:
        return _along(start, end)
    x, y = start.x + WIDTH / 2, start.y + HEIGHT
    to, bend = end.x + WIDTH / 2, DOWN * 0.6 + (end.y - y) * 0.12
    return f"M{x:g} {y:g}C{x:g} {y + bend:g} {to:g} {end.y - bend:g} {to:g} {end.y:g}"


def _along(start: Box, end: Box) -> str:
    """To the next in the row; to one further on in a bow above those between."""
    x, y = start.x + WIDTH, start.y + HEIGHT / 2
    if end.x - x <= ACROSS:
        return f"M{x:g} {y:g}H{end.x:g}"
    x, to, top = start.x + WIDTH / 2, end.x + WIDTH / 2, start.y
    return f"M{x:g} {top:g}C{x:g} {top - DOWN * 0.8:g} {to:g} {top - DOWN * 0.8:g} {to:g} {top:g}"
