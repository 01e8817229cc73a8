"""manage.py statediagram: the state machine as a Mermaid diagram, as docs/reference/state-machine.md holds it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from tasks import states


class Command(BaseCommand):
    help = "Print the state machine as a Mermaid diagram."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(states.mermaid())
