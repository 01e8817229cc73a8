"""`tasks.admin.display` for templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models.options import Options

from tasks.admin import display

register = template.Library()

register.filter("ago", display.ago)
register.filter("chip", display.chip)
register.filter("error_line", display.error_line)
register.filter("exact", display.exact)
register.filter("first_line", display.first_line)
register.filter("label", display.label)
register.filter("pretty", display.pretty)
register.filter("short_id", display.short_id)
register.filter("what", display.what)


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"


@register.filter
def changelist_of(opts: Options[Any]) -> str:
    """The name of the address of a model's list."""
    return f"admin:{opts.app_label}_{opts.model_name}_changelist"
