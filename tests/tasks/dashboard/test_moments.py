"""Times in words: the same cases hold for the page's own script, tests/js/time.test.mjs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.dashboard import moments

CASES = json.loads((Path(__file__).parents[2] / "js" / "moments.json").read_text())


@pytest.mark.parametrize(("kind", "seconds", "words"), CASES)
def test_a_moment_is_said(kind, seconds, words):
    assert moments.said(kind, seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "0 ms"), (0.25, "250 ms"), (1, "1.0 s"), (59.94, "59.9 s"), (64, "1m 04s"), (90_000, "1d 1h")],
)
def test_a_duration_keeps_the_digits_that_matter(seconds, words):
    assert moments.duration(seconds) == words
