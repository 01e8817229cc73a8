"""The diagram in the documentation is the one that the table draws."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "state-machine.md"


def test_the_page_holds_what_the_command_prints(capsys):
    call_command("statediagram")
    diagram = capsys.readouterr().out.strip()
    _, _, rest = PAGE.read_text().partition("<!-- statediagram -->\n```mermaid\n")
    held, end, _ = rest.partition("\n```\n<!-- /statediagram -->")
    assert end, "the markers are gone"
    assert held == diagram, "stale: copy what `manage.py statediagram` prints"
