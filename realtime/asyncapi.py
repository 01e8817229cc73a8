"""The AsyncAPI 3 document of the stream, made from what the code runs on: frames, close codes and routes.

`manage.py asyncapi` prints it; docs/reference/asyncapi.yaml holds it.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, NamedTuple, get_args

import msgspec

from realtime import messages
from realtime.routing import application

REFERENCE = "#/components/schemas/"
FROM_CLIENT: tuple[type[msgspec.Struct], ...] = get_args(messages.Requests)
FROM_HUB = tuple(
    frame
    for frame in vars(messages).values()
    if isinstance(frame, type) and issubclass(frame, messages.Frame | messages.Batch) and frame.__struct_config__.tag
)
DESCRIPTION = """\
Every change of every task and pipeline that the caller may see, pushed as it is committed, and replayed from a cursor.
One JSON object a frame. docs/reference/websocket.md says what a schema does not: promises, limits, how to come back.\
"""


class CloseCode(NamedTuple):
    meaning: str
    come_back: bool


CLOSE_CODES = {
    messages.BAD_REQUEST: CloseCode("Bad request: a frame that is too large, or no JSON as the first one.", False),
    messages.UNAUTHENTICATED: CloseCode("Unauthenticated, or what authenticated has ended.", False),
    messages.FORBIDDEN: CloseCode("Forbidden: the permission or the token's scope is missing.", False),
    messages.UNKNOWN: CloseCode("There is no such address, task or pipeline, or none that the caller may see.", False),
    messages.TOO_SLOW: CloseCode("The client was too slow.", True),
    messages.TOO_MANY: CloseCode("Too many connections or frames.", True),
    messages.RESTART: CloseCode("The server restarts.", True),
    messages.TRY_LATER: CloseCode("Try later: the database is away.", True),
    messages.INTERNAL_ERROR: CloseCode("Something went wrong here. It has been logged.", True),
}
SECURITY: dict[str, dict[str, str]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "For programs."},
    "session": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "Only from a page of the hub's own: the Origin must match.",
    },
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "From POST /api/v1/stream-tickets: single use, 30 s.",
    },
    "frame": {
        "type": "userPassword",
        "description": "A first frame `authenticate`, within 5 s, with a token or a ticket.",
    },
}


def document() -> dict[str, Any]:
    """The whole document, as plain JSON values."""
    made = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "TaskHub's live stream",
            "version": f"{messages.PROTOCOL}.0.0",
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "hub": {
                "host": "localhost:8000",
                "protocol": "ws",
                "security": [_reference("securitySchemes", name) for name in SECURITY],
            }
        },
        "channels": dict(_channels()),
        "operations": dict(_operations()),
        "components": {
            "messages": {_tag(frame): _message(frame) for frame in (*FROM_CLIENT, *FROM_HUB)},
            "schemas": _schemas(),
            "securitySchemes": SECURITY,
        },
        "x-close-codes": {str(code): about._asdict() for code, about in sorted(CLOSE_CODES.items())},
    }
    # Python's end of a text in a pattern, \Z, is $ where it is not a line's; and types are not called JSON there.
    return json.loads(json.dumps(made).replace(r"\\Z", "$").replace('JSON"', '"'))


def addresses() -> dict[str, type]:
    """Each address of the stream, and the socket behind it."""
    written = {f"/{route.pattern._route}": route.callback for route in application.routes if _is_path(route)}
    return {re.sub(r"<\w+:(\w+)>", r"{\1}", path): found.consumer_class for path, found in written.items()}


def _is_path(route: Any) -> bool:
    return hasattr(route.pattern, "_route")  # the last route is for every other address


def _channels() -> Any:
    since = {"type": "string", "description": "A cursor: what came after it is replayed."}
    ticket = {"type": "string", "description": SECURITY["ticket"]["description"]}
    query = {"type": "object", "properties": {"since": since, "ticket": ticket}}
    for address, socket in addresses().items():
        yield (
            socket.__name__,
            {
                "address": address,
                "description": "Starts with " + (inspect.getdoc(socket) or "").partition(": ")[2],
                "parameters": {name: {"description": "A UUID."} for name in re.findall(r"{(\w+)}", address)},
                "messages": {_tag(frame): _reference("messages", _tag(frame)) for frame in (*FROM_CLIENT, *FROM_HUB)},
                "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
            },
        )


def _operations() -> Any:
    for socket in addresses().values():
        for action, frames in (("receive", FROM_CLIENT), ("send", FROM_HUB)):
            channel = f"#/channels/{socket.__name__}"
            yield (
                f"{action}{socket.__name__}",
                {
                    "action": action,
                    "channel": {"$ref": channel},
                    "messages": [{"$ref": f"{channel}/messages/{_tag(frame)}"} for frame in frames],
                },
            )


def _message(frame: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": _tag(frame),
        "summary": inspect.cleandoc(frame.__doc__ or "").replace("\n", " "),
        "payload": {"$ref": REFERENCE + frame.__name__},
    }


def _schemas() -> dict[str, Any]:
    _, found = msgspec.json.schema_components((*FROM_CLIENT, *FROM_HUB), ref_template=REFERENCE + "{name}")
    for schema in found[messages.Batch.__name__]["properties"].values():
        schema.get("items", {}).pop("discriminator", None)  # it is OpenAPI's
    for schema in found.values():
        schema["description"] = inspect.cleandoc(schema["description"])
    return dict(sorted(found.items()))


def _tag(frame: type[msgspec.Struct]) -> str:
    return str(frame.__struct_config__.tag)


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
