"""When a failed attempt is tried again. Pure arithmetic, published as a formula so that it can be checked by hand.

wait before try n+1 = min(max_delay, delay * factor ** (n - 1)) * U(1 - jitter, 1)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`delay` and `max_delay` in seconds; `jitter` is the share of the wait that chance may take away (0 to 1)."""

    delay: float = 5
    factor: float = 2
    max_delay: float = 3600
    jitter: float = 0.5

    def bounds(self, attempt: int) -> tuple[float, float]:
        """The shortest and longest wait in seconds after `attempt` (counted from 1) has failed."""
        longest = self.longest(attempt)
        return longest * (1 - self.jitter), longest

    def longest(self, attempt: int) -> float:
        """The wait without jitter."""
        try:
            return min(self.max_delay, self.delay * self.factor ** (attempt - 1))
        except OverflowError:
            return self.max_delay

    def wait(self, attempt: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """The wait in seconds after `attempt` has failed; drawn once and stored as the task's `run_at`."""
        return uniform(*self.bounds(attempt))
