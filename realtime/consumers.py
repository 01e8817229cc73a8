"""The sockets: let in, subscribe, and nothing else. What is sent is the connection's affair."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from channels.consumer import AsyncConsumer, get_handler_name
from channels.exceptions import StopConsumer
from channels.utils import await_many_dispatch

from realtime import auth, messages, switchboard
from realtime.connection import Connection, Order
from realtime.database import in_database
from realtime.limits import Rate, is_too_large
from realtime.messages import Authenticate, InvalidFrame, Key, Ping, Request, Subscribe, Unsubscribe
from realtime.persistence import OUTAGES
from realtime.subscriptions import Subscription
from realtime.transports import Receive, Send, transport
from tasks import cursor
from tasks.access import Principal

log = logging.getLogger(__name__)

NO_LAYER = ""  # the feed is the group's member: a socket needs no channel of its own
FIRST_FRAME_S = 5.0


class Refusal(Exception):
    """The socket is to be closed, with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket(AsyncConsumer):
    """One WebSocket from its handshake to its end. The path may subscribe by itself: `key_of` makes its key."""

    key_of: Callable[..., Key] | None = None
    has_no_snapshot = False

    def __init__(self) -> None:
        self._over: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._rate = Rate()
        self._board: switchboard.Switchboard | None = None
        self._connection: Connection | None = None
        self._sender: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._opened_at: str | None = None  # a cursor

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """As in Channels, but that we may end it ourselves when the server cannot tell us that the client is gone."""
        self.scope, self.base_send = scope, send
        with contextlib.suppress(StopConsumer):
            await await_many_dispatch([receive, self._until_over], self.dispatch)

    async def _until_over(self) -> dict[str, Any]:
        return await self._over

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without Channels' detour through a thread for each message: no handler touches the ORM in the loop."""
        try:
            await getattr(self, get_handler_name(message))(message)
        except Refusal as refusal:
            self._close(refusal.code)
        except OUTAGES as outage:
            log.warning("A socket is turned away: %s", str(outage).strip() or type(outage).__name__)
            self._close(messages.TRY_LATER)

    # -- what the server tells -------------------------------------------------------------------------------------

    async def websocket_connect(self, _: dict[str, Any]) -> None:
        """Accept in any case: a socket that was never open cannot be closed with a code."""
        self._opened_at = await self._position()
        await self.send({"type": "websocket.accept"})
        self._transport = transport(self.base_send)
        try:
            principal = await in_database(auth.of_handshake, self.scope)
        except auth.Refused:
            raise Refusal(messages.UNAUTHENTICATED) from None
        if principal:
            await self._let_in(principal)
        else:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(FIRST_FRAME_S, self._close, messages.UNAUTHENTICATED)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        if self._closer:
            return
        frame = message.get("text") or message.get("bytes") or ""
        if not self._rate.admits(asyncio.get_running_loop().time()):
            raise Refusal(messages.TOO_MANY)
        if is_too_large(frame):
            raise Refusal(messages.BAD_REQUEST)
        try:
            request = messages.decode(frame)
        except InvalidFrame as invalid:
            if self._connection is None:
                raise Refusal(messages.BAD_REQUEST) from None
            self._connection.refuse(invalid.code, str(invalid))
        else:
            await (self._serve(request, self._connection) if self._connection else self._authenticate(request))

    async def websocket_disconnect(self, _: dict[str, Any]) -> None:
        self._stop()
        raise StopConsumer

    # -- letting in ------------------------------------------------------------------------------------------------

    async def _authenticate(self, request: Request) -> None:
        if not isinstance(request, Authenticate):
            raise Refusal(messages.UNAUTHENTICATED)
        try:
            principal = await in_database(auth.of_frame, request)
        except auth.Refused:
            raise Refusal(messages.UNAUTHENTICATED) from None
        if not self._closer:  # the deadline may have passed meanwhile
            await self._let_in(principal)

    async def _let_in(self, principal: Principal) -> None:
        if self._deadline:
            self._deadline.cancel()
        rights = await in_database(auth.rights, principal)
        board = switchboard.here()
        if not rights.reads:
            raise Refusal(messages.FORBIDDEN)
        if not board.admits(rights.user_id):
            raise Refusal(messages.TOO_MANY)
        connection = Connection(board.feed, board.index, principal, rights, self._transport, self._close)
        self._board, self._connection = board, connection
        board.join(connection)
        await board.feed.ready()
        if self.key_of is not None:
            key = self.key_of(**self.scope["url_route"]["kwargs"])
            connection.subscribe(Order(Subscription(key), self._since() or self._opened_at, is_path=True))
        self._sender = asyncio.create_task(self._send_all(connection))

    async def _position(self) -> str | None:
        """Where a stream without a snapshot begins: before the client can know that it is connected, so that what it
        does next is in the stream, however long it takes to let it in."""
        if not self.has_no_snapshot or self._since():
            return None
        try:
            return str(await in_database(cursor.head))
        except OUTAGES:
            return None  # what comes next needs the database too, and says so

    def _since(self) -> str | None:
        given = parse_qs(self.scope["query_string"].decode("latin1")).get("since")
        return given[-1] if given else None

    # -- requests --------------------------------------------------------------------------------------------------

    async def _serve(self, request: Request, connection: Connection) -> None:
        match request:
            case Subscribe():
                if request.batch is not None:
                    connection.batch = request.batch
                subscription = Subscription(request.key, request.events, request.statuses)
                since = self._since_of_stream() if request.since is None else request.since
                connection.subscribe(Order(subscription, since))
            case Unsubscribe():
                connection.unsubscribe(request.key)
            case Ping():
                connection.tell(messages.encode(messages.Pong))
            case Authenticate():
                connection.refuse("already_authenticated", "This connection is authenticated already.")

    def _since_of_stream(self) -> str | None:
        """`?since=` of a path that subscribes to nothing holds for what is subscribed to without one of its own."""
        return self._since() if self.key_of is None else None

    # -- the end ---------------------------------------------------------------------------------------------------

    async def _send_all(self, connection: Connection) -> None:
        try:
            await connection.run()
        except OUTAGES as outage:
            log.info("A socket is given up: %s", str(outage).strip() or type(outage).__name__)
            connection.close(messages.TRY_LATER)
        except Exception:
            log.exception("A socket's sender failed.")
            connection.close(messages.INTERNAL_ERROR)

    def _close(self, code: int) -> None:
        """Say no more, and close."""
        if self._closer is None:
            self._stop()
            self._closer = asyncio.create_task(self._say_goodbye(code))

    async def _say_goodbye(self, code: int) -> None:
        """Then the server tells us that the socket is gone, unless its client takes nothing any more."""
        try:
            await self._transport.close(code)
        except Exception:  # each server has its own
            if not self._over.done():
                self._over.set_result({"type": "websocket.disconnect"})

    def _stop(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        if self._sender:
            self._sender.cancel()
        if self._board and self._connection:
            self._board.leave(self._connection)
            self._board = None


class Stream(Socket):
    """`/stream`: no subscription."""


class TasksStream(Socket):
    """`/tasks/stream`: all tasks that the user may see."""

    has_no_snapshot = True

    @staticmethod
    def key_of() -> Key:
        return Key("task_id", messages.EVERY)


class TaskStream(Socket):
    """`/tasks/{id}/stream`: one task, its snapshot first."""

    @staticmethod
    def key_of(id: str) -> Key:
        return Key("task_id", id)


class PipelineStream(Socket):
    """`/pipelines/{id}/stream`: one pipeline, its snapshot first."""

    @staticmethod
    def key_of(id: str) -> Key:
        return Key("pipeline_id", id)


class Nowhere(AsyncConsumer):
    """Any other path."""

    channel_layer_alias = NO_LAYER

    async def websocket_connect(self, _: dict[str, Any]) -> None:
        await self.send({"type": "websocket.accept"})
        await self.send({"type": "websocket.close", "code": messages.UNKNOWN})

    async def websocket_receive(self, _: dict[str, Any]) -> None:
        """Too late."""

    async def websocket_disconnect(self, _: dict[str, Any]) -> None:
        raise StopConsumer
