"""Start-up: connect the receivers, register the system checks."""

from django.apps import AppConfig


class RealtimeConfig(AppConfig):
    name = "realtime"

    def ready(self) -> None:
        from realtime import checks, receivers  # noqa: F401

        checks.register_all()
