"""Start-up: find the handlers, connect the receivers, register the system checks."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "TaskHub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks import checks, receivers, registry  # noqa: F401

        registry.autodiscover()
        checks.register_all()
