"""How an error is written down, and which errors are the same one. Pure."""

from __future__ import annotations

import hashlib
import re
import traceback
from typing import Any

DETAIL_LIMIT = 2000  # characters
TRACEBACK_LIMIT = 16_000

# What differs from one occurrence to the next: ids, addresses, numbers, quoted values.
VARIABLE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+|'[^']*'|\"[^\"]*\"", re.IGNORECASE)


def fingerprint(name: str, type: str, detail: str) -> str:
    """The same 16 characters for errors of one kind in one handler, whatever ids and numbers they mention."""
    pattern = VARIABLE.sub("?", detail)[:DETAIL_LIMIT]
    return hashlib.sha256("\n".join((name, type, pattern)).encode(errors="replace")).hexdigest()[:16]


def describe(name: str, type: str, detail: str, **more: Any) -> dict[str, Any]:
    """An error as tasks and attempts store it: `{type, detail, fingerprint, ...}`. `name` is the handler's."""
    detail = storable(detail)[:DETAIL_LIMIT]
    return {"type": type, "detail": detail, "fingerprint": fingerprint(name, type, detail), **more}


def of_exception(name: str, error: BaseException, without: str = "") -> dict[str, Any]:
    """What handler `name` raised, with its traceback, less the frames of the file `without`."""
    trace = traceback.TracebackException.from_exception(error)
    trace.stack = traceback.StackSummary.from_list([frame for frame in trace.stack if frame.filename != without])
    lines = storable("".join(trace.format()))
    return describe(name, type(error).__qualname__, _text(error), traceback=lines[-TRACEBACK_LIMIT:])


def _text(error: BaseException) -> str:
    """What the error says of itself; its `__str__` is user code, which may be broken too."""
    try:
        return str(error)
    except Exception as broken:
        return f"no message: its __str__ raised {type(broken).__qualname__}"


def storable(text: str) -> str:
    """`text` without what a database refuses: NUL and lone surrogates."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
