"""A stage for scripts: it plays the world, so that they can be watched without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from taskhub_client.effects import Answer, Ask, Hear, Leave, Lost, Open, Rest, Say, Script, Tell

HEAD = "head"


class Stage:
    """`answers` go to whoever asks over HTTP, `heard` are the frames that come, or `Lost`. When either is used up the
    script is left where it is. `asked`, `said`, `rested` and `told` are what it did."""

    def __init__(self, *heard: dict[str, Any] | Lost, answers: Any = ()) -> None:
        self._heard: Iterator[dict[str, Any] | Lost] = iter(heard)
        self._answers = iter(answers)
        self.asked: list[Ask] = []
        self.said: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.rested: list[float] = []
        self.opened = 0

    def play(self, script: Script[Any]) -> Any:
        """What the script returns; None when it was left."""
        outcome = None
        try:
            while True:
                outcome = self._perform(script.send(outcome))
        except StopIteration as done:
            return done.value
        except LeftAlone:
            return None

    def _perform(self, effect: Any) -> Any:
        match effect:
            case Ask():
                self.asked.append(effect)
                return self._next(self._answers)
            case Hear():
                frame = self._next(self._heard)
                return frame if isinstance(frame, Lost) else json.dumps(frame)
            case Say(text):
                self.said.append(json.loads(text))
            case Tell(event):
                self.told.append(event)
            case Rest(seconds):
                self.rested.append(seconds)
            case Open():
                self.opened += 1
            case Leave():
                pass

    def _next(self, these: Iterator[Any]) -> Any:
        for one in these:
            return one
        raise LeftAlone


class LeftAlone(Exception):
    pass


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps(body).encode())


def page(*events: dict[str, Any], cursor: str = HEAD, recovered: bool = True) -> Answer:
    return answer({"results": list(events), "cursor": cursor, "recovered": recovered})


def hello() -> dict[str, Any]:
    return {"type": "hello", "protocol": 1, "cursor": "later", "heartbeat_s": 25}


def subscribed(recovered: bool = True, cursor: str = "from-here", **key: str) -> dict[str, Any]:
    return {"type": "subscribed", "cursor": cursor, "recovered": recovered, **key}


def updated(version: int, task: str = "t1", status: str = "processing", **more: Any) -> dict[str, Any]:
    return {
        "type": "task_updated", "event_id": f"{task}:{version}", "cursor": f"c{version}", "task_id": task,
        "version": version, "status": status, "queue": "default", **more,
    }  # fmt: skip
