"""Huey: Redis, no history at all."""

from __future__ import annotations

import os
import sys

from huey import RedisHuey

from benchmarks.contenders import REDIS_VARIABLE, increment

huey = RedisHuey("benchmark", url=os.environ[REDIS_VARIABLE])


@huey.task()
def work() -> None:
    increment()


if __name__ == "__main__":
    from benchmarks.contenders.huey_app import work as task  # under its importable name

    for _ in range(int(sys.argv[2])):
        task()
