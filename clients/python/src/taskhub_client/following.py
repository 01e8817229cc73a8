"""The stream that outlives its sockets, as a script: it tells each event once, in order, and misses none.

It holds a cursor: everything up to it was told. When the socket is cut it waits, opens another and goes on from there;
when sockets do not get through at all it reads the same log over HTTP, and tries a socket again now and then. A hub
that gave up sending to a client too slow still has its log: that client goes on from its cursor as after any cut. Only
when the log itself no longer goes back so far is a `resync` told, after which single tasks and pipelines come whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from taskhub_client import calls, errors
from taskhub_client.effects import Hear, Leave, Lost, Open, Rest, Say, Script, Tell, backoff, perform
from taskhub_client.types import Event, Subscription

HELLO_S = 6.0  # a socket that says nothing for so long is taken for blocked
STABLE_S = 10.0  # a connection that lived so long lets the waits start afresh
HEARTBEATS_OF_SILENCE = 1.5
MISSES_BEFORE_POLLING = 3
BURST, WINDOW_S = 15, 10.0  # the hub takes 20 frames in 10 s
POLL_S = 3.0
POLL_LIMIT = 500
REMEMBERED = 10_000  # events that are recognised when they come again
KEYS = ("task_id", "pipeline_id", "queue")
BETWEEN_US = {"hello", "subscribed", "heartbeat", "pong"}  # frames of the protocol, which nobody is told of
REFUSALS = {"not_found": errors.NotFound, "too_many_subscriptions": errors.InvalidRequest}


class Following:
    """Where one stream stands. `cursor` is None before its start is known."""

    def __init__(self, subscriptions: Sequence[Subscription], cursor: str | None = None) -> None:
        self.cursor = cursor
        self._subscriptions = {_key(subscription): subscription for subscription in map(_checked, subscriptions)}
        self._is_fresh = cursor is None  # nothing was told yet, so that single things come whole first
        self._told = Recent(REMEMBERED)
        self._shown: dict[str, int] = {}  # the version of each thing that was told whole
        self._unanswered = 0  # subscriptions that were asked for on this socket, and neither granted nor refused
        self._greeted_at: float | None = None

    def start(self) -> Script[None]:
        """Fix the position where it begins: what happens from now on will be told."""
        if self.cursor is None:
            self.cursor = yield from calls.head()

    def run(self) -> Script[None]:
        """Tells events for ever. Raises an `APIError` when the hub says that it is of no use to come back."""
        yield from self.start()
        failures = misses = 0
        while True:
            try:
                yield from self._listen()
            except Lost as lost:
                if lost.code in errors.FINAL_CODES:
                    raise errors.of_close(lost.code) from None
            yield Leave()
            failures = 1 if self._was_stable() else failures + 1
            misses = 0 if self._greeted_at else misses + 1
            if misses < MISSES_BEFORE_POLLING:
                yield Rest(backoff(failures))
            else:
                yield from self._poll(backoff(failures))

    def _was_stable(self) -> bool:
        return self._greeted_at is not None and time.monotonic() - self._greeted_at > STABLE_S

    # -- by socket -------------------------------------------------------------------------------------------------

    def _listen(self) -> Script[None]:
        """Raises `Lost`. Returns when a new socket is wanted."""
        self._greeted_at = None
        yield from perform(Open(HELLO_S))
        hello = yield from self._next(HELLO_S)
        self._greeted_at = time.monotonic()
        yield from self._subscribe()
        while True:
            frame = yield from self._next(hello["heartbeat_s"] * HEARTBEATS_OF_SILENCE)
            if frame["type"] == "resync":
                return
            for event in frame["events"] if frame["type"] == "batch" else [frame]:
                yield from self._take(event)

    def _next(self, patience: float) -> Script[dict[str, Any]]:
        text = yield from perform(Hear(patience))
        return json.loads(text)

    def _subscribe(self) -> Script[None]:
        self._unanswered = len(self._subscriptions)
        for number, subscription in enumerate(self._subscriptions.values()):
            if number and number % BURST == 0:
                yield Rest(WINDOW_S)
            since = {} if self._is_fresh and _is_single(subscription) else {"since": self.cursor}
            yield from perform(Say(json.dumps({"type": "subscribe", "batch": True, **subscription, **since})))

    def _take(self, frame: Event) -> Script[None]:
        if frame["type"] == "error":
            self._unanswered -= 1
            yield from self._refuse(frame, _refusal(frame))
        elif frame["type"] == "subscribed":
            self._unanswered -= 1
            if not frame["recovered"]:
                yield from self._start_over(frame)
        elif frame["type"] == "snapshot":
            if self._is_fresh:  # else events follow that led there, and would come after it
                yield self._show("task" if "task" in frame else "pipeline", frame)
        elif frame["type"] not in BETWEEN_US and self._is_news(frame):
            yield Tell(frame)
        self._advance(frame)

    def _refuse(self, named: Mapping[str, Any], error: errors.APIError) -> Script[None]:
        """Go on without a subscription. Raises the error when no other is left, or it does not say which it means."""
        error.subscription = self._subscriptions.pop(_key(named), None)
        if error.subscription is None or not self._subscriptions:
            raise error
        yield Tell(error)

    def _is_news(self, frame: Event) -> bool:
        if "event_id" not in frame:
            return True
        subject = frame.get("pipeline_id") or frame["task_id"]
        return frame["version"] > self._shown.get(subject, 0) and self._told.add(frame["event_id"])

    def _advance(self, frame: Event) -> None:
        """What comes before the last subscription is answered says nothing of what that one has missed."""
        if self._unanswered <= 0 and ("event_id" in frame or frame["type"] == "heartbeat"):
            self.cursor = frame["cursor"]
            self._is_fresh = False

    def _start_over(self, answer: Mapping[str, Any]) -> Script[None]:
        """What we asked for is gone. Our cursor leads nowhere any more; the hub said where it goes on."""
        self.cursor = answer["cursor"]
        self._is_fresh = True
        self._told, self._shown = Recent(REMEMBERED), {}
        yield Tell({"type": "resync", "reason": "not_recovered"})

    def _show(self, kind: str, frame: Event) -> Tell:
        self._shown[frame[kind]["id"]] = frame[kind]["version"]
        return Tell(frame)

    # -- by polling ------------------------------------------------------------------------------------------------

    def _poll(self, seconds: float) -> Script[None]:
        """Tell what the log holds, for so long."""
        until = time.monotonic() + seconds
        failures = 0
        while (left := until - time.monotonic()) > 0:
            try:
                is_all = yield from self._poll_once()
                failures, pause = 0, POLL_S if is_all else 0.0
            except errors.Unavailable as unavailable:
                failures += 1
                pause = max(backoff(failures), unavailable.retry_after or 0)
            except errors.RateLimited as limited:
                pause = max(POLL_S, limited.retry_after or 0)
            yield Rest(min(pause, left))

    def _poll_once(self) -> Script[bool]:
        """Returns whether that was all there is."""
        if self._is_fresh:
            yield from self._show_all()
        page = yield from calls.once("/events", limit=POLL_LIMIT, since=self.cursor)
        for event in page["results"]:
            if self._is_wanted(event) and self._is_news(event):
                yield Tell(event)
            self.cursor = event["cursor"]
        if page["recovered"]:
            self.cursor = page["cursor"]
        else:
            yield from self._start_over(page)
        return len(page["results"]) < POLL_LIMIT

    def _is_wanted(self, event: Event) -> bool:
        return any(_matches(subscription, event) for subscription in self._subscriptions.values())

    def _show_all(self) -> Script[None]:
        """Each single thing whole, as the hub does it when a socket subscribes to one."""
        for subscription in filter(_is_single, list(self._subscriptions.values())):
            try:
                yield (yield from self._whole(subscription))
            except errors.NotFound as unknown:
                yield from self._refuse(subscription, unknown)
        self._is_fresh = False

    def _whole(self, subscription: Subscription) -> Script[Tell]:
        if "task_id" in subscription:
            task = yield from calls.task(subscription["task_id"])
            return self._show("task", {"type": "snapshot", "task": task})
        pipeline = yield from calls.pipeline(subscription["pipeline_id"])
        return self._show("pipeline", {"type": "snapshot", "pipeline": pipeline})


class Recent:
    """A set that forgets its oldest members."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._members: dict[str, None] = {}

    def add(self, member: str) -> bool:
        """False when it was there already."""
        if member in self._members:
            return False
        self._members[member] = None
        if len(self._members) > self._most:
            del self._members[next(iter(self._members))]
        return True


def _checked(subscription: Subscription) -> Subscription:
    if sum(key in subscription for key in KEYS) != 1:
        raise ValueError("A subscription has exactly one of task_id, pipeline_id and queue.")
    return subscription


def _key(named: Mapping[str, Any]) -> tuple[str, str] | None:
    """What a subscription is known by; a frame may name none."""
    return next(((name, named[name]) for name in KEYS if name in named), None)


def _is_single(subscription: Subscription) -> bool:
    return "queue" not in subscription and "*" not in (subscription.get("task_id"), subscription.get("pipeline_id"))


def _matches(subscription: Subscription, event: Event) -> bool:
    """Whether a socket would have brought it. What an event does not say, as progress its queue, holds it not back."""
    if ("pipeline_id" in subscription) != ("pipeline_id" in event):
        return False
    fields: dict[str, Any] = {**subscription}
    wanted, actual = next((fields[key], event.get(key, fields[key])) for key in KEYS if key in fields)
    status = event.get("status", "").lower()  # a pipeline's last event shouts
    return (
        wanted in ("*", actual)
        and event["type"] in fields.get("events", [event["type"]])
        and (not status or status in fields.get("statuses", [status]))
    )


def _refusal(frame: Event) -> errors.APIError:
    kind = REFUSALS.get(frame["code"], errors.InvalidRequest)
    return kind(404 if kind is errors.NotFound else 400, frame["detail"])
