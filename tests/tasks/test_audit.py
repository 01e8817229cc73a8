"""Every door's operations leave an entry in Django's log, the REST API's too."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model

from tasks import audit
from tests.tasks.api.test_routes import ROUTES, address

OPERATIONS = [
    line.removeprefix("POST ")
    for line in ROUTES
    if line.startswith("POST api/") and line.rpartition("/")[2] in ("retry", "resurrect", "cancel", "pause", "resume")
]


@pytest.mark.parametrize("route", OPERATIONS)
def test_each_operation_over_http_is_on_record(route, client, alice):
    root = get_user_model().objects.create_superuser("root")
    client.force_login(root)
    action, place = route.rpartition("/")[2], address(route, alice)
    if "queues" in place and action == "resume":
        client.post(place.replace("resume", "pause"))
    assert client.post(place).status_code == 200
    entry = LogEntry.objects.latest("id")
    assert (entry.user, entry.change_message.partition(":")[0]) == (root, action)
    assert " → " in entry.change_message
    assert entry.object_id in place


def test_nothing_done_is_no_entry(alice):
    audit.record(alice, [], "cancel: pending → canceled")
    assert not LogEntry.objects.exists()
