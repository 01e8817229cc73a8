"""Everything that tasks raises on purpose. The tree is the documentation; anybody may import it.

TaskhubError
├── InvalidTask          the request can never become a task: a list of field errors (HTTP 400)
│   └── TooLarge         because of its size (HTTP 413)
├── Conflict             the state does not allow the action (HTTP 409)
├── BacklogFull          the owner has as many tasks waiting as the hub allows (HTTP 429)
├── KeyReused            the same idempotency key with another body (HTTP 422)
├── StaleLease           the attempt lost its lease: its result is recorded and never applied
├── PermanentError       raised by a handler: dead-letter at once, no further attempt
└── Snooze               raised by a handler: run again later, without using an attempt
"""

from __future__ import annotations

import math
from dataclasses import dataclass


class TaskhubError(Exception):
    """The root, for those who want to catch all of it."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request: `field` is a path such as `tasks[3].payload.month`."""

    field: str
    message: str

    def under(self, prefix: str) -> FieldError:
        """The same error seen from an enclosing object, `tasks[3]` say."""
        return FieldError(f"{prefix}.{self.field}" if self.field else prefix, self.message)


class InvalidTask(TaskhubError):
    """The submission is wrong; `errors` names every field with a sentence."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class TooLarge(InvalidTask):
    """The submission is well-formed and larger than we keep."""


class Conflict(TaskhubError):
    """An action that the present state does not allow, or that somebody else was faster to take."""


class BacklogFull(TaskhubError):
    """The owner's tasks that wait, with those of the submission, would be more than `TASKHUB_BACKLOG_LIMIT`."""


class KeyReused(TaskhubError):
    """An idempotency key that was used before, with another request."""


class StaleLease(TaskhubError):
    """An attempt that no longer holds its task spoke up."""


class PermanentError(TaskhubError):
    """Raise it in a handler when no further attempt can succeed: the task is dead-lettered at once."""


class Snooze(TaskhubError):
    """Raise it in a handler to run again after `seconds`, without using an attempt."""

    def __init__(self, seconds: float) -> None:
        self.seconds = float(seconds)
        if math.isnan(self.seconds):
            raise ValueError("Nobody can snooze for NaN seconds.")
        super().__init__(f"snoozed for {self.seconds:g} s")
