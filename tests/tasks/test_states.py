"""The table against what is documented of it: every action in every state, and what is derived from it."""

from __future__ import annotations

import ast
import inspect

import pytest

from tasks import states
from tasks.exceptions import Conflict
from tasks.states import ACTIVE, FINAL, FINISHED, INITIAL, TABLE, WAITING, Actions, States

# Written down a second time on purpose, as documented: an edge that appears or disappears must be meant.
EDGES = {
    ("claim", "pending", "processing"),
    ("claim", "failed", "processing"),
    ("complete", "processing", "completed"),
    ("fail", "processing", "failed"),
    ("bury", "processing", "dead_lettered"),
    ("snooze", "processing", "pending"),
    ("release", "processing", "pending"),
    ("rescue", "processing", "pending"),
    ("retry", "failed", "pending"),
    ("resurrect", "dead_lettered", "pending"),
    ("resurrect", "canceled", "pending"),
    ("cancel", "pending", "canceled"),
    ("cancel", "failed", "canceled"),
    ("cancel", "paused", "canceled"),
    ("cancel", "processing", "canceled"),
    ("pause", "pending", "paused"),
    ("pause", "failed", "paused"),
    ("pause", "processing", "paused"),
    ("resume", "paused", "pending"),
}


def test_the_table_has_the_documented_edges_and_no_other():
    assert {(a, before, after) for a, edges in TABLE.items() for before, after in edges.items()} == EDGES
    assert set(TABLE) == set(Actions)


@pytest.mark.parametrize("state", States.values)
@pytest.mark.parametrize("action", Actions.values)
def test_every_action_in_every_state(action, state):
    leads_to = {after for known, before, after in EDGES if (known, before) == (action, state)}
    if leads_to:
        assert {states.step(Actions(action), state)} == leads_to
    else:
        with pytest.raises(Conflict) as refused:
            states.step(Actions(action), state)
        assert f"Cannot {action} a task that is {state}" in str(refused.value)
        assert all(before in str(refused.value) for known, before, _ in EDGES if known == action)


def test_a_state_that_does_not_exist_is_no_state_to_step_from():
    with pytest.raises(ValueError, match="nonsense"):
        states.step(Actions.CLAIM, "nonsense")


def test_the_derived_sets():
    assert INITIAL == States.PENDING
    assert {States.PENDING, States.FAILED} == WAITING
    assert {States.COMPLETED} == FINAL
    assert {States.COMPLETED, States.DEAD_LETTERED, States.CANCELED} == FINISHED
    assert {States.PENDING, States.PROCESSING, States.FAILED, States.PAUSED} == ACTIVE


def test_every_state_can_be_reached():
    reached, todo = set(), {INITIAL}
    while todo:
        reached |= todo
        todo = {after for edges in TABLE.values() for before, after in edges.items() if before in reached} - reached
    assert reached == set(States)


def test_only_the_end_of_an_attempt_leaves_processing_besides_what_an_operator_asked_for():
    leaving = {action for action, edges in TABLE.items() if States.PROCESSING in edges}
    assert leaving == {"complete", "fail", "bury", "snooze", "release", "rescue", "cancel", "pause"}


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        ("pending", ["cancel", "pause"]),
        ("processing", ["cancel", "pause"]),
        ("failed", ["retry", "cancel", "pause"]),
        ("completed", []),
        ("dead_lettered", ["resurrect"]),
        ("paused", ["cancel", "resume"]),
        ("canceled", ["resurrect"]),
    ],
)
def test_the_buttons_of_a_state(state, actions):
    assert states.allowed(state) == actions


def test_the_diagram_draws_every_edge_once():
    lines = states.mermaid().splitlines()
    assert lines[0] == "stateDiagram-v2"
    drawn = [line.strip() for line in lines[1:]]
    edges = [f"{before} --> {after}: {action}" for action, before, after in EDGES]
    assert sorted(drawn) == sorted([*edges, "[*] --> pending: create", "completed --> [*]"])


def test_the_machine_imports_nothing_but_an_enumeration_and_its_error():
    tree = ast.parse(inspect.getsource(states))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"__future__", "django.db.models", "tasks.exceptions"}
