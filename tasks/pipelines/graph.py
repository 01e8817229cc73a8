"""What depends on what: a graph is a mapping from each step to those that it depends on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, Collection[str]]


def circle(graph: Graph) -> list[str]:
    """Steps that depend on each other in a circle, each on the one before it and the first on the last; else none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][1:]
    return []


def ancestors(graph: Graph) -> dict[str, set[str]]:
    """All that each step depends on, directly or not. The graph has no circle."""
    found: dict[str, set[str]] = {}
    for step in TopologicalSorter(graph).static_order():
        found[step] = set(graph[step]).union(*(found[before] for before in graph[step]))
    return found


def ends(graph: Graph) -> list[str]:
    """The steps that no other depends on, in the order of the graph."""
    needed = {before for befores in graph.values() for before in befores}
    return [step for step in graph if step not in needed]


def layers(graph: Graph) -> list[list[str]]:
    """The steps by the length of the longest way to each: what one layer needs is in those above it."""
    depths: dict[str, int] = {}
    for step in TopologicalSorter(graph).static_order():
        depths[step] = 1 + max((depths[before] for before in graph[step]), default=-1)
    return [[step for step in graph if depths[step] == depth] for depth in range(1 + max(depths.values(), default=-1))]


def ready(graph: Graph, complete: Collection[str], begun: Collection[str]) -> Iterable[str]:
    """The steps that may begin: not begun yet, and all that they depend on is complete."""
    return (step for step, befores in graph.items() if step not in begun and all(b in complete for b in befores))
