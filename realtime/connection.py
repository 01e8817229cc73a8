"""One socket's side of the stream: its subscriptions, its outbox, and the one task that empties it.

A connection is live, and gets events as they are read; or it is behind, because a replay is due or because it was too
slow, and fetches them from the ring or the log at its own pace. Behind costs no memory, and delays nobody else.
"""

from __future__ import annotations

import asyncio
import functools
import operator
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import Q

from realtime import messages, replays, snapshots, wire
from realtime.auth import Rights
from realtime.database import in_database
from realtime.feed import Feed
from realtime.messages import HEARTBEAT_S, Key, encode
from realtime.outbox import Outbox
from realtime.ring import Entry
from realtime.snapshots import Shot
from realtime.subscriptions import Index, Subscription
from realtime.transports import Transport
from tasks.access import Principal
from tasks.cursor import Cursor

BATCH_EVENTS = 200  # a frame
TOGETHER = 16  # frames
LAG_S = 15.0  # who stays too slow for so long loses the rest, and is told to fetch a snapshot
AGAIN_S = 60.0  # who needs that twice within so long is disconnected
STALL_S = 20.0  # and so is who takes nothing at all
SUBSCRIPTIONS = 100


@dataclass(frozen=True, slots=True)
class Order:
    """A subscription that was asked for. `is_path` says that the connection was opened for it alone."""

    subscription: Subscription
    since: str | None = None
    is_path: bool = False


class Connection:
    """`end` closes the socket with a code; it is called once, and need not wait."""

    def __init__(
        self,
        feed: Feed,
        index: Index,
        principal: Principal,
        rights: Rights,
        transport: Transport,
        end: Callable[[int], None],
    ) -> None:
        self.principal, self.rights = principal, rights
        self.subscriptions: dict[Key, Subscription] = {}
        self.batch = False
        self._feed, self._index = feed, index
        self._transport, self._end = transport, end
        self._now = asyncio.get_running_loop().time
        self._outbox = Outbox()
        self._orders: deque[Order | Key] = deque()
        self._counts: str | None = None  # a queue_status frame that is due: only the newest matters
        self._wake = asyncio.Event()
        self._is_at_rest = False  # everything was sent, and nothing is due
        self._behind: Cursor | None = None  # up to there everything was sent, or is in the outbox; None: live
        self._slow_since: float | None = None
        self._resync: str | None = None  # a frame that is due: until it is sent, whatever comes belongs to what it says
        self._resynced_at = float("-inf")
        self._sending_since: float | None = None
        self._beats_at = self._now() + random.uniform(0.5, 1) * HEARTBEAT_S  # noqa: S311
        self._is_closed = False

    # -- what others tell it; none of this waits -------------------------------------------------------------------

    def deliver(self, entries: list[Entry]) -> None:
        """Events that it subscribed to."""
        if self._behind is not None or self._resync is not None:
            return
        if self._is_at_rest and not self.batch and self._transport.push(wire.frames(tuple(entries))):
            return
        for entry in entries:
            if self._outbox.is_full:
                self._behind, self._slow_since = entry.before, self._now()
                break
            self._outbox.put(entry)
        if not self.batch:
            self._rouse()
        elif len(self._outbox) >= BATCH_EVENTS:
            self.flush()
        elif self._is_at_rest:
            self._feed.pulse.join(self)

    def flush(self) -> None:
        """Send the events that were kept for a batch; what else there is in the outbox is its task's to send."""
        while self._is_at_rest and self._outbox:
            entries = self._outbox.take(BATCH_EVENTS)
            assert isinstance(entries, list), "any other frame has roused it"
            if not self._transport.push(wire.batch(tuple(entries))):
                self._outbox.put_back(entries)
                self._rouse()

    def tell(self, frame: str) -> None:
        """Any other frame, in its turn."""
        self._outbox.put(frame)
        self._rouse()

    def tell_if_fast(self, frame: str) -> None:
        """A frame that a client too slow for it goes without."""
        if self._behind is None and not self._outbox.is_full:
            self.tell(frame)

    def count(self, frame: str) -> None:
        """The state of the queues, in place of one that has not been sent yet."""
        self._counts = frame
        self._rouse()

    def subscribe(self, order: Order) -> None:
        self._orders.append(order)
        self._rouse()

    def unsubscribe(self, key: Key) -> None:
        self._orders.append(key)
        self._rouse()

    def refuse(self, code: str, detail: str, key: Key | None = None) -> None:
        """Say that a request is not carried out; `key` is that of the subscription."""
        named = {key.name: key.value} if key else {}
        self.tell(encode(messages.ErrorFrame, code=code, detail=detail, **named))

    def resync(self, reason: str) -> None:
        """Give up what was not sent, and what comes until it can be told so. Twice in a short time is the end."""
        self._outbox.clear()
        self._behind = self._slow_since = None
        if self._now() - self._resynced_at < AGAIN_S:
            self.close(messages.TOO_SLOW)
        else:
            self._resync = encode(messages.Resync, reason=reason)
            self._rouse()

    def renew(self, principal: Principal, rights: Rights) -> None:
        """Its rights were looked at again: what it may no longer follow, it loses."""
        self.principal, self.rights = principal, rights
        singles = [sub for sub in self.subscriptions.values() if sub.is_single]
        if not rights.reads or not all(rights.see(sub.single_owner_id) for sub in singles):
            self.close(messages.FORBIDDEN)
            return
        for subscription in self.subscriptions.values():
            if not subscription.is_single and subscription.owner_id != rights.owner_id:
                self._index.remove(self, subscription)
                subscription.owner_id = rights.owner_id
                self._index.add(self, subscription)

    def tick(self) -> None:
        """Once a second or so."""
        now = self._now()
        if self._sending_since is not None and now - self._sending_since > STALL_S:
            self.close(messages.TOO_SLOW)
        elif self._slow_since is not None and now - self._slow_since > LAG_S:
            self.resync("too_slow")
        elif now >= self._beats_at:
            self._rouse()

    def close(self, code: int) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._end(code)

    def leave(self) -> None:
        """The socket is gone."""
        self._is_closed = True
        for subscription in self.subscriptions.values():
            self._index.remove(self, subscription)
        self.subscriptions.clear()

    def _rouse(self) -> None:
        self._is_at_rest = False
        self._wake.set()

    @property
    def wants_counts(self) -> bool:
        broad = (sub for sub in self.subscriptions.values() if not sub.is_single and sub.key.name != "pipeline_id")
        return self.rights.sees_queues and any(sub.takes("queue_status") for sub in broad)

    # -- the task that sends ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what is due, until this is canceled. Raises what the database or the server raises."""
        await self._send(encode(messages.Hello, cursor=str(self._feed.position)))
        while True:
            if self._resync is not None:
                await self._send(self._resync)
                self._resync, self._resynced_at = None, self._now()
            elif self._orders:
                await self._carry_out(self._orders.popleft())
            elif self._outbox:
                await self._send_next()
            elif self._behind is not None:
                await self._catch_up(self._behind)
            elif self._counts is not None:
                frame, self._counts = self._counts, None
                await self._send(frame)
            elif self._now() >= self._beats_at:
                self._beats_at = self._now() + HEARTBEAT_S
                await self._send(encode(messages.Heartbeat, cursor=str(self._feed.position)))
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Until something is due that was not sent at once."""
        self._wake.clear()
        self._is_at_rest = True
        await self._wake.wait()

    async def _send_next(self) -> None:
        item = self._outbox.take(BATCH_EVENTS if self.batch else TOGETHER)
        await (self._send(item) if isinstance(item, str) else self._send_events(item))

    async def _send_events(self, entries: list[Entry]) -> None:
        most = BATCH_EVENTS if self.batch else TOGETHER
        for first in range(0, len(entries), most):
            await self._send_together(entries[first : first + most])

    async def _send_together(self, entries: list[Entry]) -> None:
        joined = wire.batch if self.batch else wire.frames
        if self._transport.push(joined(tuple(entries))):
            return
        texts = [entry.text for entry in entries]
        for text in [messages.batch(texts)] if self.batch else texts:
            await self._wait_and_send(text)

    async def _send(self, frame: str) -> None:
        if not self._transport.push(wire.frame(frame)):
            await self._wait_and_send(frame)

    async def _wait_and_send(self, frame: str) -> None:
        self._sending_since = self._now()
        await self._transport.text(frame)
        self._sending_since = None

    # -- subscribing -----------------------------------------------------------------------------------------------

    async def _carry_out(self, order: Order | Key) -> None:
        if isinstance(order, Order):
            await self._begin(order)
            return
        while self._outbox:
            await self._send_next()
        self._forget(order)
        await self._send(encode(messages.Unsubscribed, **{order.name: order.value}))

    async def _begin(self, order: Order) -> None:
        """Say where it starts, replay what was missed, then take part in what comes."""
        subscription, key = order.subscription, order.subscription.key
        if key not in self.subscriptions and len(self.subscriptions) >= SUBSCRIPTIONS:
            self.refuse("too_many_subscriptions", f"A connection has at most {SUBSCRIPTIONS} subscriptions.", key)
            return
        since = await replays.resume(self._feed, order.since) if order.since is not None else None
        if since is None:
            await self._feed.caught_up()  # what was committed before the request is not what comes after it
        here = await self._hold()
        shot = await in_database(snapshots.take, self.principal, key) if subscription.is_single else None
        if subscription.is_single and shot is None:
            self._not_found(order)
            return
        subscription.start = since or here
        subscription.owner_id = None if subscription.is_single else self.rights.owner_id
        recovered = since is not None or order.since is None
        self._forget(key)
        await self._send(
            encode(messages.Subscribed, **{key.name: key.value}, cursor=str(subscription.start), recovered=recovered)
        )
        if shot:
            await self._show(subscription, shot, is_all=since is None)
        if since:
            await self._replay(subscription, since, here)
        self._take_part(subscription)

    async def _hold(self) -> Cursor:
        """Stop taking events as they come, send those that did, and return the position after them."""
        self._behind, self._slow_since = self._behind or self._feed.position, None
        while self._outbox:
            await self._send_next()
        return self._behind

    async def _show(self, subscription: Subscription, shot: Shot, is_all: bool) -> None:
        """Send the snapshot, and with no replay to follow skip the versions that it holds already."""
        subscription.single_owner_id = shot.owner_id
        subscription.version = shot.version if is_all else 0
        subscription.log_seq = shot.log_seq
        await self._send(encode(messages.Snapshot, **shot.fields))

    async def _replay(self, subscription: Subscription, since: Cursor, until: Cursor) -> None:
        """What other subscriptions of this connection have brought already is left out."""
        others = list(self.subscriptions.values())
        async for entries in replays.between(self._feed, since, until, subscription.where()):
            missed = [entry for entry in entries if subscription.matches(entry) and not _is_wanted(entry, others)]
            await self._send_events(missed)

    def _take_part(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.key] = subscription
        self._index.add(self, subscription)
        self.renew(self.principal, self.rights)  # they may have changed during the replay

    def _not_found(self, order: Order) -> None:
        if order.is_path:
            self.close(messages.UNKNOWN)
        else:
            name, value = key = order.subscription.key
            self.refuse("not_found", f"There is no {name} {value} that you may see.", key)

    def _forget(self, key: Key) -> None:
        if subscription := self.subscriptions.pop(key, None):
            self._index.remove(self, subscription)

    # -- catching up -----------------------------------------------------------------------------------------------

    async def _catch_up(self, behind: Cursor) -> None:
        """One page on. Who is slow is spared outdated progress, and told to fetch a snapshot once the ring has moved on
        without them; a replay goes on in the log."""
        entries = self._feed.ring.after(behind, replays.PAGE) if self.subscriptions else []
        if entries is None and self._slow_since is not None:
            self.resync("too_slow")
        elif entries is None:
            entries, end = await replays.from_database(behind, self._feed.position, self._where())
            await self._send_events(self._wanted(entries))
            self._behind = end
        elif entries:
            await self._send_events(self._wanted(entries))
            if self._behind is behind:  # and no resync has come between
                self._behind = entries[-1].after
            await asyncio.sleep(0)
        else:
            self._behind = self._slow_since = None

    def _wanted(self, entries: Iterable[Entry]) -> list[Entry]:
        subscriptions = list(self.subscriptions.values())
        wanted = [entry for entry in entries if _is_wanted(entry, subscriptions)]
        return wanted if self._slow_since is None else _newest_progress(wanted)

    def _where(self) -> Q:
        wheres = [subscription.where() for subscription in self.subscriptions.values()]
        return functools.reduce(operator.or_, wheres) if all(wheres) else Q()


def _is_wanted(entry: Entry, subscriptions: list[Subscription]) -> bool:
    return any(subscription.matches(entry) for subscription in subscriptions)


def _newest_progress(entries: list[Entry]) -> list[Entry]:
    """Without the progress of tasks of which there is later news."""
    last = {entry.task_id: entry for entry in entries}
    return [entry for entry in entries if entry.type != "task_progress" or last[entry.task_id] is entry]
