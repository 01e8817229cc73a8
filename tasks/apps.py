"""Start-up: hold on to the supervisor, find the handlers, connect the receivers, register the system checks."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "TaskHub"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from tasks import checks, groups, receivers, registry  # noqa: F401
        from tasks.engine import lifeline

        lifeline.bind()
        registry.autodiscover()
        checks.register_all()
        post_migrate.connect(groups.prepare, sender=self, dispatch_uid="tasks.groups")
