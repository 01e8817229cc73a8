"""What is written down beside the database: which submissions were acknowledged, and which handlers really ran."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID


class AckLog:
    """The ids of tasks, each written and synced only after its submission has been committed."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path

    def write(self, task_id: UUID) -> None:
        os.write(self._file, f"{task_id}\n".encode())
        os.fsync(self._file)

    def read(self) -> list[UUID]:
        return [UUID(line) for line in self._path.read_text().split()]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a handler's code. Moments are of the machine's monotonic clock; `ended` is None for one cut short."""

    task_id: UUID
    attempt: int
    number: int
    run: str
    pid: int
    began: float
    ended: float | None


class EffectLog:
    """Appended to by the handlers in `app.handlers`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def read(self) -> list[Run]:
        """All runs, in the order in which they began."""
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        ends = {line["run"]: line["at"] for line in lines if line["what"] == "end"}
        return [_run(line, ends.get(line["run"])) for line in lines if line["what"] == "begin"]

    def by_task(self) -> dict[UUID, list[Run]]:
        found: defaultdict[UUID, list[Run]] = defaultdict(list)
        for run in self.read():
            found[run.task_id].append(run)
        return found


def _run(line: dict[str, Any], ended: float | None) -> Run:
    task_id, said = UUID(line["task"]), {name: line[name] for name in ("attempt", "number", "run", "pid")}
    return Run(task_id=task_id, began=line["at"], ended=ended, **said)
