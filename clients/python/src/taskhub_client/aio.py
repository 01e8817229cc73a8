"""The client for asyncio: as `sync`, which documents what the methods do. It belongs to one event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from taskhub_client import calls, waiting
from taskhub_client.address import Address
from taskhub_client.effects import Answer, Ask, Deadline, Hear, Leave, Lost, Open, Rest, Say, Script, Tell, Unreachable
from taskhub_client.errors import APIError, TaskHubError
from taskhub_client.following import Following
from taskhub_client.sync import CLOSE_S
from taskhub_client.types import Event, Pipeline, PipelineType, Subscription, Task, TaskOptions, TaskStatus

R = TypeVar("R")


class AsyncClient:
    """A hub, as the owner of `token` may use it. `timeout` is for each HTTP request, in seconds."""

    def __init__(self, url: str, token: str, *, timeout: float = 10.0) -> None:
        self._address = Address(url, token)
        self._timeout = timeout
        self._http = httpx.AsyncClient(base_url=self._address.rest, headers=self._address.headers, timeout=timeout)
        self.pipelines = AsyncPipelines(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give up the connections to the hub."""
        await self._http.aclose()

    # -- tasks -----------------------------------------------------------------------------------------------------

    async def submit(
        self,
        name: str | None = None,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Submit a task for a handler, or with `callback_url` for a receiver. The same key again is the same task."""
        return await self._run(calls.submit(name, payload, idempotency_key, options))

    async def submit_many(
        self, tasks: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> list[Task]:
        """Up to 1,000 tasks, all or none; each a dict of what `submit` takes."""
        return await self._run(calls.submit_many(tasks, idempotency_key))

    async def task(self, id: str) -> Task:
        return await self._run(calls.task(id))

    async def status(self, id: str) -> TaskStatus:
        return await self._run(calls.status(id))

    async def wait(self, id: str, *, timeout: float | None = None) -> Task:
        """The task once it is completed, dead-lettered or canceled. Raises `WaitTimeout` after so many seconds."""
        return await self._run(waiting.for_task(id), timeout)

    async def cancel(self, id: str) -> Task:
        return await self._run(calls.act(id, "cancel"))

    async def retry(self, id: str) -> Task:
        return await self._run(calls.act(id, "retry"))

    async def resurrect(self, id: str) -> Task:
        return await self._run(calls.act(id, "resurrect"))

    async def pause(self, id: str) -> Task:
        return await self._run(calls.act(id, "pause"))

    async def resume(self, id: str) -> Task:
        return await self._run(calls.act(id, "resume"))

    # -- the stream ------------------------------------------------------------------------------------------------

    def stream(
        self, *subscriptions: Subscription, since: str | None = None, **subscription: Unpack[Subscription]
    ) -> AsyncStream:
        """Events as they happen, each once and in order: `stream(task_id=...)`, `stream(queue="mail")`.

        Several subscriptions are given as dicts; without any it is to all tasks. It begins when its `with` block is
        entered or its first event asked for, or with what came after the cursor `since`.
        """
        wanted = [*subscriptions, *([subscription] if subscription else [])]
        return AsyncStream(self._wire(), Following(wanted or [{"task_id": "*"}], since))

    # -- scripts ---------------------------------------------------------------------------------------------------

    async def _run(self, script: Script[R], timeout: float | None = None) -> R:
        """Perform a script to its end."""
        async with contextlib.aclosing(self._wire(timeout)) as wire:
            outcome = None
            while True:
                try:
                    effect = script.send(outcome)
                except StopIteration as done:
                    return done.value
                outcome = await wire.perform(effect)

    def _wire(self, timeout: float | None = None) -> AsyncWire:
        return AsyncWire(self._http, self._address, Deadline(timeout), self._timeout)


class AsyncPipelines:
    """The pipelines of a hub: `client.pipelines`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def submit(
        self,
        name: str,
        steps: Sequence[Mapping[str, Any]],
        *,
        input: Any = None,
        pipeline_type: PipelineType | None = None,
        idempotency_key: str | None = None,
    ) -> Pipeline:
        """Each step is a dict: `name`, `handler` or `callback_url`, `payload`, `depends_on`, and a task's options."""
        return await self._client._run(calls.submit_pipeline(name, steps, input, pipeline_type, idempotency_key))

    async def get(self, id: str) -> Pipeline:
        return await self._client._run(calls.pipeline(id))

    async def wait(self, id: str, *, timeout: float | None = None) -> Pipeline:
        """The pipeline once it is completed, failed or canceled. Raises `WaitTimeout` after so many seconds."""
        return await self._client._run(waiting.for_pipeline(id), timeout)

    async def cancel(self, id: str) -> Pipeline:
        return await self._client._run(calls.act_on_pipeline(id, "cancel"))

    async def retry(self, id: str) -> Pipeline:
        return await self._client._run(calls.act_on_pipeline(id, "retry"))

    async def pause(self, id: str) -> Pipeline:
        return await self._client._run(calls.act_on_pipeline(id, "pause"))

    async def resume(self, id: str) -> Pipeline:
        return await self._client._run(calls.act_on_pipeline(id, "resume"))


class AsyncStream:
    """An iterator over events that never ends by itself. Raises `APIError` when the hub refuses it for good.

    One that has a `subscription` is about that alone: while the stream has others it can be asked for its next event.
    """

    def __init__(self, wire: AsyncWire, following: Following) -> None:
        self._wire, self._following = wire, following
        self._script = following.run()
        self._effect: Any = None  # what is being done; an interruption leaves it to be done again

    async def __aenter__(self) -> Self:
        """From here on nothing is missed."""
        starting, outcome = self._following.start(), None
        with contextlib.suppress(StopIteration):
            while True:
                outcome = await self._wire.perform(starting.send(outcome))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            while not isinstance(self._effect, Tell):
                outcome = await self._wire.perform(self._effect) if self._effect else None
                self._effect = self._script.send(outcome)
        except StopIteration:  # it was closed
            raise StopAsyncIteration from None
        except TaskHubError:
            await self.aclose()
            raise
        event, self._effect = self._effect.event, None
        if isinstance(event, APIError):
            raise event
        return event

    @property
    def cursor(self) -> str | None:
        """Everything up to here has been given out: another stream can go on with it as `since`."""
        return self._following.cursor

    async def aclose(self) -> None:
        self._script.close()
        self._effect = None
        await self._wire.aclose()


class AsyncWire:
    """Performs effects: HTTP by the client's connections, and one socket of its own."""

    def __init__(self, http: httpx.AsyncClient, address: Address, deadline: Deadline, timeout: float) -> None:
        self._http, self._address, self._deadline, self._timeout = http, address, deadline, timeout
        self._socket: ClientConnection | None = None

    async def perform(self, effect: Any) -> Any:
        """What came of it; failures that scripts expect as values."""
        match effect:
            case Ask():
                return await self._ask(effect)
            case Rest(seconds):
                return await asyncio.sleep(self._deadline.clip(seconds))
            case Leave():
                return await self.aclose()
        try:
            return await self._talk(effect)
        except ConnectionClosed as closed:
            return Lost(closed.rcvd.code if closed.rcvd else 1006)
        except TimeoutError:
            return Lost(1006, "nothing heard")
        except (WebSocketException, OSError, EOFError) as error:
            return Lost(1006, str(error))

    async def aclose(self) -> None:
        socket, self._socket = self._socket, None
        if socket:
            await socket.close()

    async def _talk(self, effect: Any) -> Any:
        match effect:
            case Open(patience):
                await self.aclose()
                self._socket = await connect(
                    self._address.stream,
                    additional_headers=self._address.headers,
                    open_timeout=self._deadline.clip(patience),
                    close_timeout=CLOSE_S,
                    max_size=None,  # the hub says what it has to say
                )
            case Say(text) if self._socket:
                await self._socket.send(text)
            case Hear(patience) if self._socket:
                async with asyncio.timeout(self._deadline.clip(patience)):
                    return await self._socket.recv()
            case _:
                return Lost(1006)

    async def _ask(self, request: Ask) -> Answer | Unreachable:
        try:
            answer = await self._http.request(
                request.method,
                request.path,
                params=request.params,
                json=request.body,
                headers=request.headers,
                timeout=self._deadline.clip(self._timeout),
            )
        except httpx.HTTPError as error:
            return Unreachable(str(error) or type(error).__name__)
        return Answer(answer.status_code, answer.headers, answer.content)
