"""Celery: Redis broker, events on, no results."""

from __future__ import annotations

import os
import sys

from celery import Celery

from benchmarks.contenders import REDIS_VARIABLE, increment

app = Celery("benchmark", broker=os.environ[REDIS_VARIABLE])
app.conf.update(task_ignore_result=True, worker_send_task_events=True, task_send_sent_event=True)


@app.task(name="work")  # this module has another name in the worker than when it enqueues
def work() -> None:
    increment()


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        for _ in range(int(sys.argv[2])):
            work.delay()
    else:  # watch: what a dashboard does, consuming every event
        with app.connection() as connection:
            app.events.Receiver(connection, handlers={"*": lambda event: None}).capture(limit=None)
