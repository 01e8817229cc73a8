"""The Streamlit page, run again and again as Streamlit does it, against a real hub. Streamlit itself is played:
it brings half a gigabyte along, and of it the page uses ten functions."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hub import ROOT
from tests.processes import until

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("environment")]


class State(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Rerun(Exception):
    """The page is to run from its top."""


class FakeStreamlit(SimpleNamespace):
    """Notes what is shown, and presses the button once."""

    def __init__(self) -> None:
        super().__init__(session_state=State(), presses=1, shown=[], every=None)

    def page(self) -> None:
        self.shown.clear()
        try:
            runpy.run_path(str(ROOT / "examples" / "streamlit_job.py"))
        except Rerun:
            self.page()

    def title(self, text: str) -> None:
        pass

    def button(self, label: str) -> bool:
        self.presses -= 1
        return self.presses == 0

    def cache_resource(self, make: Callable[[], Any]) -> Callable[[], Any]:
        return make

    def fragment(self, part: Callable[[], None], run_every: float | None) -> Callable[[], None]:
        self.every = run_every
        return part

    def rerun(self) -> None:
        raise Rerun

    def progress(self, value: float, text: str) -> None:
        self.shown.append((value, text))

    def json(self, value: Any) -> None:
        self.shown.append(value)

    def error(self, text: str) -> None:
        self.shown.append(text)

    info = error


@pytest.fixture
def streamlit(monkeypatch) -> FakeStreamlit:
    played = FakeStreamlit()
    monkeypatch.setitem(sys.modules, "streamlit", played)
    return played


def test_nothing_is_asked_for_before_the_button_is_pressed(streamlit):
    streamlit.presses = 0
    streamlit.page()
    assert (streamlit.shown, streamlit.every) == ([], None)


def test_it_polls_while_the_job_runs_and_stops_at_its_end(streamlit):
    bars = []

    def ended() -> bool:
        streamlit.page()
        if streamlit.every:
            bars.extend(shown for shown in streamlit.shown if isinstance(shown, tuple))
        return streamlit.every is None

    until(ended, "the report")
    assert {text for _, text in bars} & {f"{10 * page}% · page {page} of 10" for page in range(1, 10)}
    assert streamlit.shown == [(1.0, "100% · done"), {"month": "2026-11", "pages": 10}]


def test_a_failure_is_shown_in_its_own_words(streamlit, hub):
    task = hub.reaches(hub.submit(name="demo.broken")["id"], "dead_lettered")
    streamlit.session_state.update(job=task["id"], ended=True)
    streamlit.presses = 0
    streamlit.page()
    assert streamlit.shown == ["dead_lettered: The account has been closed."]
