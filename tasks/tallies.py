"""How often what should be rare has happened, since the hub exists: numbers that only grow, and a log line for each.

They are kept in the database and written in the transaction of the change, so that they are right whichever process
it was. `/metrics` shows them (`tasks.api.health`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from tasks.database import transactional
from tasks.models import Attempt, Marker, Task
from tasks.states import States

logger = logging.getLogger(__name__)

STALE = "stale_completions"
CHARGED, UNCHARGED = "rescues.charged", "rescues.uncharged"
POISON = {"Poison": "poison", "suspected_poison": "suspected_poison"}  # by the type of the error
RESTARTS = "restarts."  # and the name of the supervisor's child
PREFIX = "tally."


def stale(attempt: Attempt, action: str) -> None:
    """A worker has reported how an attempt ended that it had lost before."""
    logger.warning(
        "Attempt %d of task %s: its worker reported `%s` after it had lost the lease. It is kept, and not applied.",
        attempt.number, attempt.task_id, action,
    )  # fmt: skip
    _add({STALE: 1})


def rescued(tasks: Sequence[Task], charged: bool) -> None:
    """Tasks were taken from a worker that is lost."""
    numbers = Counter({CHARGED if charged else UNCHARGED: len(tasks)})
    for task in tasks:
        error = task.error or {}
        if task.status == States.DEAD_LETTERED and error.get("type") in POISON:
            logger.error("Task %s (%s) is dead-lettered as poison. %s", task.pk, task.name, error["detail"])
            numbers[POISON[error["type"]]] += 1
    _add(numbers)


def restarted(child: str) -> None:
    """The supervisor starts a child again that nobody has asked to end."""
    _add({RESTARTS + child: 1})


def totals() -> Counter[str]:
    """What has never happened is missing, and reads as 0."""
    rows = Marker.objects.filter(name__startswith=PREFIX).values_list("name", "value")
    return Counter({name.removeprefix(PREFIX): value["n"] for name, value in rows})


@transactional
def _add(numbers: Mapping[str, int]) -> None:
    """Rows are locked in the order of their names, and after everything else that a transaction locks."""
    for name, n in sorted(numbers.items()):
        if n:
            Marker.objects.get_or_create(name=PREFIX + name, defaults={"value": {"n": 0}})
            marker = Marker.objects.select_for_update().get(name=PREFIX + name)
            marker.value = {"n": marker.value["n"] + n}
            marker.save()
