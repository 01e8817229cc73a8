"""The client for code that may wait. It can be shared between threads; a `Stream` belongs to one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from taskhub_client import calls, waiting
from taskhub_client.address import Address
from taskhub_client.effects import Answer, Ask, Deadline, Hear, Leave, Lost, Open, Rest, Say, Script, Tell, Unreachable
from taskhub_client.errors import APIError, TaskHubError
from taskhub_client.following import Following
from taskhub_client.types import Event, Pipeline, PipelineType, Subscription, Task, TaskOptions, TaskStatus

R = TypeVar("R")

CLOSE_S = 1.0  # how long a socket that we leave may take to say goodbye


class Client:
    """A hub, as the owner of `token` may use it. `timeout` is for each HTTP request, in seconds.

    Questions and submissions are repeated while the hub cannot be reached or says that it is busy; a submission carries
    an idempotency key, so that it makes one task however often it is sent. Methods raise `TaskHubError`.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 10.0) -> None:
        self._address = Address(url, token)
        self._timeout = timeout
        self._http = httpx.Client(base_url=self._address.rest, headers=self._address.headers, timeout=timeout)
        self.pipelines = Pipelines(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections to the hub."""
        self._http.close()

    # -- tasks -----------------------------------------------------------------------------------------------------

    def submit(
        self,
        name: str | None = None,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Submit a task for a handler, or with `callback_url` for a receiver. The same key again is the same task."""
        return self._run(calls.submit(name, payload, idempotency_key, options))

    def submit_many(self, tasks: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None) -> list[Task]:
        """Up to 1,000 tasks, all or none; each a dict of what `submit` takes."""
        return self._run(calls.submit_many(tasks, idempotency_key))

    def task(self, id: str) -> Task:
        return self._run(calls.task(id))

    def status(self, id: str) -> TaskStatus:
        return self._run(calls.status(id))

    def wait(self, id: str, *, timeout: float | None = None) -> Task:
        """The task once it is completed, dead-lettered or canceled. Raises `WaitTimeout` after so many seconds."""
        return self._run(waiting.for_task(id), timeout)

    def cancel(self, id: str) -> Task:
        return self._run(calls.act(id, "cancel"))

    def retry(self, id: str) -> Task:
        return self._run(calls.act(id, "retry"))

    def resurrect(self, id: str) -> Task:
        return self._run(calls.act(id, "resurrect"))

    def pause(self, id: str) -> Task:
        return self._run(calls.act(id, "pause"))

    def resume(self, id: str) -> Task:
        return self._run(calls.act(id, "resume"))

    # -- the stream ------------------------------------------------------------------------------------------------

    def stream(
        self, *subscriptions: Subscription, since: str | None = None, **subscription: Unpack[Subscription]
    ) -> Stream:
        """Events as they happen, each once and in order: `stream(task_id=...)`, `stream(queue="mail")`.

        Several subscriptions are given as dicts; without any it is to all tasks. It begins when its `with` block is
        entered or its first event asked for, or with what came after the cursor `since`.
        """
        wanted = [*subscriptions, *([subscription] if subscription else [])]
        return Stream(self._wire(), Following(wanted or [{"task_id": "*"}], since))

    # -- scripts ---------------------------------------------------------------------------------------------------

    def _run(self, script: Script[R], timeout: float | None = None) -> R:
        """Perform a script to its end."""
        with contextlib.closing(self._wire(timeout)) as wire:
            outcome = None
            while True:
                try:
                    effect = script.send(outcome)
                except StopIteration as done:
                    return done.value
                outcome = wire.perform(effect)

    def _wire(self, timeout: float | None = None) -> Wire:
        return Wire(self._http, self._address, Deadline(timeout), self._timeout)


class Pipelines:
    """The pipelines of a hub: `client.pipelines`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(
        self,
        name: str,
        steps: Sequence[Mapping[str, Any]],
        *,
        input: Any = None,
        pipeline_type: PipelineType | None = None,
        idempotency_key: str | None = None,
    ) -> Pipeline:
        """Each step is a dict: `name`, `handler` or `callback_url`, `payload`, `depends_on`, and a task's options."""
        return self._client._run(calls.submit_pipeline(name, steps, input, pipeline_type, idempotency_key))

    def get(self, id: str) -> Pipeline:
        return self._client._run(calls.pipeline(id))

    def wait(self, id: str, *, timeout: float | None = None) -> Pipeline:
        """The pipeline once it is completed, failed or canceled. Raises `WaitTimeout` after so many seconds."""
        return self._client._run(waiting.for_pipeline(id), timeout)

    def cancel(self, id: str) -> Pipeline:
        return self._client._run(calls.act_on_pipeline(id, "cancel"))

    def retry(self, id: str) -> Pipeline:
        return self._client._run(calls.act_on_pipeline(id, "retry"))

    def pause(self, id: str) -> Pipeline:
        return self._client._run(calls.act_on_pipeline(id, "pause"))

    def resume(self, id: str) -> Pipeline:
        return self._client._run(calls.act_on_pipeline(id, "resume"))


class Stream:
    """An iterator over events that never ends by itself. Raises `APIError` when the hub refuses it for good.

    One that has a `subscription` is about that alone: while the stream has others it can be asked for its next event.
    """

    def __init__(self, wire: Wire, following: Following) -> None:
        self._wire, self._following = wire, following
        self._script = following.run()
        self._effect: Any = None  # what is being done; an interruption leaves it to be done again

    def __enter__(self) -> Self:
        """From here on nothing is missed."""
        starting, outcome = self._following.start(), None
        with contextlib.suppress(StopIteration):
            while True:
                outcome = self._wire.perform(starting.send(outcome))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            while not isinstance(self._effect, Tell):
                outcome = self._wire.perform(self._effect) if self._effect else None
                self._effect = self._script.send(outcome)
        except TaskHubError:
            self.close()
            raise
        event, self._effect = self._effect.event, None
        if isinstance(event, APIError):
            raise event
        return event

    @property
    def cursor(self) -> str | None:
        """Everything up to here has been given out: another stream can go on with it as `since`."""
        return self._following.cursor

    def close(self) -> None:
        self._script.close()
        self._effect = None
        self._wire.close()


class Wire:
    """Performs effects: HTTP by the client's connections, and one socket of its own."""

    def __init__(self, http: httpx.Client, address: Address, deadline: Deadline, timeout: float) -> None:
        self._http, self._address, self._deadline, self._timeout = http, address, deadline, timeout
        self._open = contextlib.ExitStack()
        self._socket: ClientConnection | None = None

    def perform(self, effect: Any) -> Any:
        """What came of it; failures that scripts expect as values."""
        match effect:
            case Ask():
                return self._ask(effect)
            case Rest(seconds):
                return time.sleep(self._deadline.clip(seconds))
            case Leave():
                return self.close()
        try:
            return self._talk(effect)
        except ConnectionClosed as closed:
            return Lost(closed.rcvd.code if closed.rcvd else 1006)
        except TimeoutError:
            return Lost(1006, "nothing heard")
        except (WebSocketException, OSError, EOFError) as error:
            return Lost(1006, str(error))

    def close(self) -> None:
        self._socket = None
        self._open.close()

    def _talk(self, effect: Any) -> Any:
        match effect:
            case Open(patience):
                self.close()
                opening = connect(
                    self._address.stream,
                    additional_headers=self._address.headers,
                    open_timeout=self._deadline.clip(patience),
                    close_timeout=CLOSE_S,
                    max_size=None,  # the hub says what it has to say
                )
                self._socket = self._open.enter_context(opening)
            case Say(text) if self._socket:
                self._socket.send(text)
            case Hear(patience) if self._socket:
                return self._socket.recv(self._deadline.clip(patience))
            case _:
                return Lost(1006)

    def _ask(self, request: Ask) -> Answer | Unreachable:
        try:
            answer = self._http.request(
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
