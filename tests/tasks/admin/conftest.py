"""People at the admin's door, each with a client that is signed in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

VIEW = ("view_all_tasks", "view_queues", "view_workers")
OPERATE = (*VIEW, "operate_tasks", "operate_queues")


@pytest.fixture
def person(django_user_model):
    """A member of the staff with these permissions, and nothing else."""

    def make(name: str, *codenames: str):
        user = django_user_model.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="tasks", codename__in=codenames))
        return user

    return make


@pytest.fixture
def at_desk():
    """The client of a user who is signed in."""

    def sign_in(user) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def operator(person, at_desk):
    return at_desk(person("olga", *OPERATE))


@pytest.fixture
def viewer(person, at_desk):
    return at_desk(person("vera", *VIEW))


@pytest.fixture
def root(django_user_model, at_desk):
    return at_desk(django_user_model.objects.create_superuser("root"))


TASKS = "admin:tasks_task_changelist"


@pytest.fixture
def bulk():
    """Post an action of the task list, as its form or the page before does."""

    def post(client: Client, action: str, *tasks, confirmed: bool = False, query: str = "", **fields):
        data = {"action": action, "_selected_action": [str(task.pk) for task in tasks], **fields}
        data |= {"post": "yes"} if confirmed else {"index": "0"}
        return client.post(reverse(TASKS) + query, data)

    return post
