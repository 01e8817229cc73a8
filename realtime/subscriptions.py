"""Who wants which event. By the index an event costs as much as it has receivers, whoever else listens. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from django.db.models import Q

from realtime.messages import EVERY, Key
from realtime.ring import Entry
from tasks.cursor import Cursor


@dataclass(slots=True, eq=False)
class Subscription:
    """One key of one connection, with its filters.

    `owner_id` narrows it to that user's tasks; it is None for who sees everybody's, and for a single task, which
    was allowed when it was subscribed to and belongs to `single_owner_id`. `start` is the position that the client
    has reached already, `version` what its snapshot of a single task holds, and `log_seq` the last line of the log
    that was written before.
    """

    key: Key
    events: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    owner_id: int | None = None
    single_owner_id: int | None = None
    start: Cursor | None = None
    version: int = 0
    log_seq: int = 0

    @property
    def is_single(self) -> bool:
        return self.key.name != "queue" and self.key.value != EVERY

    @property
    def is_plain(self) -> bool:
        """Whether it wants every event of its key."""
        return self.events is None and self.statuses is None and not self.version

    def takes(self, type: str) -> bool:
        return self.events is None or type in self.events

    def wants(self, entry: Entry) -> bool:
        """Whether it passes the filters. That the key fits is the index's to know."""
        return (
            (self.events is None or entry.type in self.events)
            and (self.statuses is None or entry.status in self.statuses)
            and entry.version > self.version
        )

    def matches(self, entry: Entry) -> bool:
        """Whether it wants an event that it has not been sent: for replays, which don't come by the index."""
        return self._fits(entry) and self.wants(entry) and not (self.start and self.start.has(entry.id))

    def _fits(self, entry: Entry) -> bool:
        name, value = self.key
        if (name == "pipeline_id") != (entry.pipeline_id is not None):
            return False
        return value in (EVERY, getattr(entry, name)) and self.owner_id in (None, entry.owner_id)

    def where(self) -> Q:
        """The same condition for the database."""
        where = Q() if self.key.value == EVERY else Q(**{self.key.name: self.key.value})
        if self.key.name == "pipeline_id":
            where &= Q(task_id=None)
        if self.owner_id is not None:
            where &= Q(owner_id=self.owner_id)
        if self.events is not None:
            where &= Q(type__in=self.events)
        if self.statuses is not None:
            where &= Q(status__in=self.statuses)
        return where


class Receiver(Protocol):
    def deliver(self, entries: list[Entry]) -> None: ...


Address = tuple[str, str, int | None]  # a key's name and value, and an owner


@dataclass(slots=True)
class Bucket:
    """Who subscribed to one key: to all of its events, or to those that pass their filters."""

    plain: set[Receiver] = field(default_factory=set)
    picky: dict[Receiver, Subscription] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.plain or self.picky)


class Index:
    """Finds the receivers of an event by its task, its queue and its owner."""

    def __init__(self) -> None:
        self._buckets: defaultdict[Address, Bucket] = defaultdict(Bucket)

    def add(self, receiver: Receiver, subscription: Subscription) -> None:
        bucket = self._buckets[_address(subscription)]
        if subscription.is_plain:
            bucket.plain.add(receiver)
        else:
            bucket.picky[receiver] = subscription

    def remove(self, receiver: Receiver, subscription: Subscription) -> None:
        address = _address(subscription)
        if bucket := self._buckets.get(address):
            bucket.plain.discard(receiver)
            bucket.picky.pop(receiver, None)
            if not bucket:
                del self._buckets[address]

    def receivers(self, entry: Entry) -> set[Receiver]:
        """Each once, however many of its subscriptions want the event."""
        found: set[Receiver] = set()
        for address in _addresses(entry):
            if bucket := self._buckets.get(address):
                found |= bucket.plain
                if bucket.picky:
                    found.update(receiver for receiver, wish in bucket.picky.items() if wish.wants(entry))
        return found


def _address(subscription: Subscription) -> Address:
    return (*subscription.key, subscription.owner_id)


def _addresses(entry: Entry) -> list[Address]:
    """All the subscriptions that there can be to it, by those who see everything and by its owner."""
    if entry.pipeline_id is not None:
        named = [("pipeline_id", entry.pipeline_id)]
    else:
        named = [("task_id", entry.task_id or ""), ("queue", entry.queue)]
    owners = (None,) if entry.owner_id is None else (None, entry.owner_id)
    return [(name, value, owner) for name, own in named for value in (own, EVERY) for owner in owners]
