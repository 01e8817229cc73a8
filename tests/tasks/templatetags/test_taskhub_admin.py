"""The admin's words, in templates: still escaped."""

from __future__ import annotations

import pytest
from django.template import engines

from tasks.models import Task

HOSTILE = "<b>"


def render(text: str, **context) -> str:
    return engines["django"].from_string("{% load taskhub_admin %}" + text).render(context)


@pytest.mark.parametrize("name", ["chip", "first_line", "label", "pretty", "short_id"])
def test_what_filters_say_is_escaped(name):
    assert HOSTILE not in render(f"{{{{ value|{name} }}}}", value=HOSTILE)


@pytest.mark.parametrize("name", ["ago", "exact"])
def test_there_may_be_no_time(name):
    assert render(f"{{{{ value|{name} }}}}", value=None) == "\N{EN DASH}"


def test_numbers_are_grouped():
    assert render("{{ n|thousands }}", n=1234567) == "1,234,567"


def test_the_list_of_a_model_has_an_address():
    assert render("{% url opts|changelist_of %}", opts=Task._meta) == "/admin/tasks/task/"
