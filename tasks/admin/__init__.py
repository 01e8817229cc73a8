"""The Django admin, made for triage: it shows, and asks `tasks.lifecycle` to act. Nobody imports it but Django.

Read it in this order; a file imports only from lines above it:

    rights · paging · display                  what all of it stands on
    search · filters · story                   reading
    operations · confirmation                  acting: the verbs, many times, and the page before
    tasks · dead_letters · pipelines · queues · workers · event_log · tokens    the sections
"""

from django.apps import apps
from django.contrib import admin

from tasks.admin import dead_letters, event_log, pipelines, queues, tasks, tokens, workers

__all__ = ["dead_letters", "event_log", "pipelines", "queues", "tasks", "tokens", "workers"]

# django-q2 only carries our tickets; a second thing called "task" would mislead.
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
