"""Words, chips, times and JSON: escaped, masked, on one line where there is one."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.utils import timezone

from tasks.admin import display
from tasks.models import TaskEvent

HOSTILE = "<b onclick='x'>\"&"


def test_a_chip_is_a_glyph_and_a_word():
    chip = display.chip("dead_lettered")
    assert '<use href="#status-dead_lettered"/>' in chip
    assert "Dead-lettered" in chip


@pytest.mark.parametrize("show", [display.chip, display.label, lambda word: display.badge(word, word)])
def test_words_are_escaped(show):
    assert "<b" not in show(HOSTILE).replace("<span", "").replace(HOSTILE.capitalize(), "")


def test_tags_and_links_are_escaped():
    assert "<b" not in display.tags([HOSTILE])
    assert "<b" not in display.task_link("01890a5d-ac96-774b-bcce-b302099a8057", HOSTILE)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        ({"minutes": 3, "seconds": 20}, "3\xa0minutes ago"),
        ({"days": 2, "hours": 1}, "2\xa0days ago"),
        ({"seconds": 12.9}, "\xa0s ago"),
        ({"hours": -5.5}, "in 5\xa0hours"),
    ],
)
def test_times_are_told_in_their_largest_unit(span, words):
    moment = timezone.now() - dt.timedelta(**span)
    assert words in display.ago(moment)
    assert display.exact(moment) in display.ago(moment)


def test_there_may_be_no_time():
    assert display.ago(None) == display.exact(None) == display.NOTHING


def test_json_is_readable_and_its_secrets_are_masked():
    text = display.pretty({"city": "Zürich", "login": {"password": "hunter2"}, "n": [1, None]})
    assert "Zürich" in text
    assert "hunter2" not in text
    assert json.loads(text)["n"] == [1, None]
    assert "<b" not in display.code({"x": HOSTILE})


def test_an_error_is_told_on_one_line():
    line = display.error_line({"type": "KeyError", "detail": "  first\nsecond"})
    assert "<b>KeyError</b> first<" in line
    assert "second" not in line
    assert display.error_line(None) == display.NOTHING
    assert len(display.first_line("x" * 5000)) == display.LINE
    assert "<b o" not in display.error_line({"type": HOSTILE, "detail": HOSTILE})


def test_an_event_is_told_by_its_verb():
    assert display.what(TaskEvent(type="task_updated", action="claim")) == "claim"
    assert display.what(TaskEvent(type="task_created")) == "created"


def test_an_id_is_known_by_its_random_end():
    assert display.short_id("01890a5d-ac96-774b-bcce-b302099a8057") == "b302099a8057"
