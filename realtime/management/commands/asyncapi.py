"""manage.py asyncapi: the AsyncAPI document of the stream, as docs/reference/asyncapi.yaml holds it."""

from __future__ import annotations

from typing import Any

import yaml
from django.core.management.base import BaseCommand

from realtime.asyncapi import document


class Command(BaseCommand):
    help = "Print the AsyncAPI document of the stream."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(yaml.safe_dump(document(), sort_keys=False, width=120, allow_unicode=True))
