"""The domain of TaskHub: what a task is, how it moves, how it is run. It knows nothing of sockets.

Read it in this order; a file imports only from lines above it:

    exceptions · states · retry · errors · documents · failpoints   pure: what can be said without a database
    signals · database · rows · models                        the tables
    changes · durations · tail · events · tallies             what a change is, and who is told
    backlog · lifecycle                                       the verbs, and the log that they write
    access · audit · counts · cursor · dead_letters · hints · logs   questions to the tables, who may ask them, who did
    masking · groups · queues · representation · signin       what goes out, and the hub's own verbs
    registry · callbacks · idempotency · submission           what may be submitted, and how
    pipelines · operations                                    several tasks with an order between them; people's verbs
    receivers · engine                                        how a task reaches a worker and comes back
    testing · welcome                                         for those who write handlers, and who start the hub
    api · dashboard · admin · templatetags · management       the doors
    checks                                                    what start-up looks at
"""

from __future__ import annotations

from typing import Any

from tasks.exceptions import PermanentError, Snooze
from tasks.registry import handler

__all__ = ["INPUT", "PermanentError", "Snooze", "handler", "pipeline", "result", "submit"]


def __getattr__(name: str) -> Any:
    """What needs the models, which can be imported only once Django has loaded the apps."""
    if name == "submit":
        from tasks.submission import submit

        return submit
    if name in ("INPUT", "pipeline", "result"):
        from tasks.pipelines import draft

        return getattr(draft, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
