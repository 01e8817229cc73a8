"""The wait before another try: its bounds, its mean, and no overflow. No database."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.retry import RetryPolicy

SAMPLES = 10_000
seconds = st.floats(0, 10 * 365 * 86_400)
policies = st.builds(RetryPolicy, delay=seconds, factor=st.floats(1, 100), max_delay=seconds, jitter=st.floats(0, 1))


@pytest.mark.parametrize(
    ("attempt", "bounds"),
    [(1, (2.5, 5)), (2, (5, 10)), (3, (10, 20)), (10, (1280, 2560)), (11, (1800, 3600)), (1000, (1800, 3600))],
)
def test_the_defaults_can_be_checked_by_hand(attempt, bounds):
    assert RetryPolicy().bounds(attempt) == bounds


@pytest.mark.parametrize("attempt", [1, 2, 3, 5, 10, 100])
def test_ten_thousand_waits_lie_within_the_bounds_with_the_mean_of_a_uniform_draw(attempt):
    policy, draw = RetryPolicy(), random.Random(attempt)
    waits = [policy.wait(attempt, draw.uniform) for _ in range(SAMPLES)]
    shortest, longest = policy.bounds(attempt)
    assert shortest <= min(waits)
    assert max(waits) <= longest
    assert statistics.fmean(waits) == pytest.approx((shortest + longest) / 2, rel=0.02)


@given(policies, st.integers(1, 1000))
def test_a_wait_is_finite_and_within_its_bounds_for_every_policy_that_can_be_submitted(policy, attempt):
    shortest, longest = policy.bounds(attempt)
    assert 0 <= shortest <= longest <= policy.max_delay
    wait = policy.wait(attempt)
    assert math.isfinite(wait)
    assert shortest <= wait or math.isclose(shortest, wait)
    assert wait <= longest or math.isclose(longest, wait)


@given(policies, st.integers(1, 999))
def test_waits_never_shrink_from_one_attempt_to_the_next(policy, attempt):
    assert policy.longest(attempt) <= policy.longest(attempt + 1)


@pytest.mark.parametrize(("jitter", "bounds"), [(0, (8, 8)), (1, (0, 8)), (0.25, (6, 8))])
def test_jitter_is_the_share_that_chance_may_take_away(jitter, bounds):
    assert RetryPolicy(delay=2, factor=2, jitter=jitter).bounds(3) == bounds


def test_the_cap_holds_where_the_power_overflows():
    assert RetryPolicy(delay=1, factor=100, max_delay=60).longest(10_000) == 60
