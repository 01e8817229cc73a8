"""Who may see and do what: looking takes Django's permissions or the hub's, acting the hub's."""

from __future__ import annotations

import pytest
from django.contrib.admin import site
from django.urls import reverse

from tasks.admin.rights import has_any
from tasks.models import DeadLetter, Task
from tests.factories import make_task

pytestmark = pytest.mark.django_db
SECTIONS = ["task", "deadletter", "queue", "worker", "taskevent", "token"]


@pytest.fixture
def request_of(rf):
    def make(user):
        request = rf.get("/")
        request.user = user
        return request

    return make


@pytest.mark.parametrize("section", SECTIONS)
def test_strangers_are_sent_to_sign_in(client, alice, section):
    address = reverse(f"admin:tasks_{section}_changelist")
    assert client.get(address).status_code == 302
    client.force_login(alice)  # no member of the staff
    assert client.get(address).status_code == 302


@pytest.mark.parametrize("section", SECTIONS)
def test_staff_without_permissions_see_nothing(person, at_desk, section):
    assert at_desk(person("new")).get(reverse(f"admin:tasks_{section}_changelist")).status_code == 403


@pytest.mark.parametrize(
    ("codename", "sections"),
    [
        ("view_task", ["task", "deadletter"]),
        ("view_all_tasks", ["task", "deadletter", "taskevent"]),
        ("view_queues", ["queue"]),
        ("view_workers", ["worker"]),
        ("view_token", ["token"]),
        ("operate_tasks", []),
    ],
)
def test_each_permission_opens_its_sections(person, at_desk, codename, sections):
    client = at_desk(person("one", codename))
    open_ = [name for name in SECTIONS if client.get(reverse(f"admin:tasks_{name}_changelist")).status_code == 200]
    assert open_ == sections


@pytest.mark.parametrize("model", [Task, DeadLetter])
def test_acting_takes_seeing(person, request_of, model):
    section = site._registry[model]
    assert not section.has_operate_permission(request_of(person("blind", "operate_tasks")))
    assert not section.has_operate_permission(request_of(person("looker", "view_all_tasks")))
    assert section.has_operate_permission(request_of(person("both", "view_task", "operate_tasks")))


def test_one_of_several_permissions_is_enough(person, request_of):
    request = request_of(person("one", "view_task"))
    assert has_any(request, "view_all_tasks", "view_task")
    assert not has_any(request, "view_all_tasks")


def test_a_list_is_called_by_what_it_lists(root):
    make_task()
    titles = {name: root.get(reverse(f"admin:tasks_{name}_changelist")).context["title"] for name in SECTIONS}
    assert titles == {
        "task": "Tasks", "deadletter": "Dead letters", "queue": "Queues", "worker": "Workers",
        "taskevent": "Events", "token": "Tokens",
    }  # fmt: skip
