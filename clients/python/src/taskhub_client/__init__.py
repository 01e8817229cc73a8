"""The Python client of TaskHub, for code that needn't wait (`AsyncClient`) and for code that may (`Client`).

What a client says, and when, is written once, in scripts that do nothing by themselves: they yield effects, such as
"ask this over HTTP" or "hear the next frame", and are sent what came of them. The two clients differ only in how they
perform the effects. Read it in this order; a file imports only from those before it:

    types · errors            what goes in and comes out
    effects · address         what a script may ask for, and where the hub is
    calls                     scripts: one request, again where that is safe
    following · waiting       scripts: the stream that outlives its sockets, and a wait for the end
    sync · aio                the two clients
"""

from taskhub_client.aio import AsyncClient, AsyncStream
from taskhub_client.errors import (
    APIError,
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    TaskHubError,
    Unauthenticated,
    Unavailable,
    WaitTimeout,
)
from taskhub_client.sync import Client, Stream
from taskhub_client.types import Event, Pipeline, Step, Subscription, Task, TaskOptions, TaskStatus

__all__ = [
    "APIError",
    "AsyncClient",
    "AsyncStream",
    "Client",
    "Conflict",
    "Event",
    "FieldError",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Pipeline",
    "RateLimited",
    "Step",
    "Stream",
    "Subscription",
    "Task",
    "TaskHubError",
    "TaskOptions",
    "TaskStatus",
    "Unauthenticated",
    "Unavailable",
    "WaitTimeout",
]
