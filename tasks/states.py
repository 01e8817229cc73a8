"""The state machine, as data. Everything about which step leads where lives in this file.

It is pure: no models, no database, so that it can be read, drawn and tested exhaustively on its own.
`tasks.lifecycle` is the only module that acts on it.
"""

from __future__ import annotations

from django.db.models import TextChoices

from tasks.exceptions import Conflict


class States(TextChoices):
    """Where a task is. The comment says who moves it on."""

    PENDING = "pending"  # a worker, once `run_at` has come
    PROCESSING = "processing"  # its worker, or rescue when the lease runs out
    FAILED = "failed"  # a worker at `run_at`, or an operator's retry
    COMPLETED = "completed"  # nobody
    DEAD_LETTERED = "dead_lettered"  # an operator's resurrect
    PAUSED = "paused"  # an operator's resume
    CANCELED = "canceled"  # an operator's resurrect


class Actions(TextChoices):
    """What can happen to a task. The first seven are the engine's, the others an operator's or owner's."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    BURY = "bury"
    SNOOZE = "snooze"
    RELEASE = "release"
    RESCUE = "rescue"
    RETRY = "retry"
    RESURRECT = "resurrect"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"


S, A = States, Actions

# action -> {state before: state after}. A missing key is an illegal step.
# A cancel or pause of a processing task is first kept as a request; these edges are where the request ends.
TABLE: dict[Actions, dict[States, States]] = {
    A.CLAIM: {S.PENDING: S.PROCESSING, S.FAILED: S.PROCESSING},
    A.COMPLETE: {S.PROCESSING: S.COMPLETED},
    A.FAIL: {S.PROCESSING: S.FAILED},
    A.BURY: {S.PROCESSING: S.DEAD_LETTERED},
    A.SNOOZE: {S.PROCESSING: S.PENDING},
    A.RELEASE: {S.PROCESSING: S.PENDING},
    A.RESCUE: {S.PROCESSING: S.PENDING},
    A.RETRY: {S.FAILED: S.PENDING},
    A.RESURRECT: {S.DEAD_LETTERED: S.PENDING, S.CANCELED: S.PENDING},
    A.CANCEL: {S.PENDING: S.CANCELED, S.FAILED: S.CANCELED, S.PAUSED: S.CANCELED, S.PROCESSING: S.CANCELED},
    A.PAUSE: {S.PENDING: S.PAUSED, S.FAILED: S.PAUSED, S.PROCESSING: S.PAUSED},
    A.RESUME: {S.PAUSED: S.PENDING},
}

INITIAL = S.PENDING
WAITING = frozenset(TABLE[A.CLAIM])  # a worker may take it when it is due
FINAL = frozenset(s for s in S if not any(s in edges for edges in TABLE.values()))
# Nothing moves it on by itself and nobody is expected to: the task is over unless it is resurrected.
FINISHED = FINAL | frozenset(TABLE[A.RESURRECT])
ACTIVE = frozenset(S) - FINISHED
BACKLOG = ACTIVE - {S.PROCESSING}  # submitted, and neither running nor over


def step(action: Actions, state: str) -> States:
    """The state that `action` leads to from `state`. Raises `Conflict` when the table has no such edge."""
    try:
        return TABLE[action][States(state)]
    except KeyError:
        allowed = " or ".join(TABLE[action])
        raise Conflict(f"Cannot {action} a task that is {state}; it must be {allowed}.") from None


def allowed(state: str) -> list[Actions]:
    """The operator's actions that a task in `state` accepts, in the table's order (for buttons)."""
    operator = [A.RETRY, A.RESURRECT, A.CANCEL, A.PAUSE, A.RESUME]
    return [action for action in operator if state in TABLE[action]]


def mermaid() -> str:
    """The machine as a Mermaid state diagram; `docs/reference/state-machine.md` holds its output."""
    lines = ["stateDiagram-v2", f"    [*] --> {INITIAL}: create"]
    lines += [f"    {a} --> {b}: {action}" for action, edges in TABLE.items() for a, b in edges.items()]
    lines += [f"    {state} --> [*]" for state in States if state in FINAL]
    return "\n".join(lines)
