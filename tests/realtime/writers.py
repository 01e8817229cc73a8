"""Who changes tasks while others look on."""

from __future__ import annotations

import contextlib
import random
import time

from django.db import connection, transaction

from tasks import lifecycle, submit
from tasks.exceptions import Conflict
from tasks.states import Actions
from tests.factories import claim, end, make_worker

EACH = 5


def write(seed: int, tasks: int = EACH, rest_s: float = 0) -> None:
    """Tasks that go through several versions, some rolled back, committed some time after their ids were given."""
    chance = random.Random(seed)
    pause = 0.02 if connection.vendor == "postgresql" else 0  # nobody else can write meanwhile on SQLite
    worker = make_worker()
    for _ in range(tasks):
        with transaction.atomic():
            task = submit("test.echo")
            time.sleep(chance.uniform(0, pause))
            transaction.set_rollback(is_lost := chance.random() < 0.2)
        if not is_lost:
            with transaction.atomic():
                end(claim(task, worker), chance.choice([Actions.COMPLETE, Actions.FAIL]))
                time.sleep(chance.uniform(0, pause))
            with contextlib.suppress(Conflict):
                lifecycle.cancel(task.pk, "test")
        time.sleep(rest_s)
    connection.close()
