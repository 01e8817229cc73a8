"""An owner's callbacks are signed with the owner's secret, through its whole life."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from tasks.callbacks import ownership
from tasks.callbacks.delivery import callback_for
from tasks.callbacks.signature import parse_secrets
from tests.factories import claim, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def secrets_of(alice, settings):
    """What a callback of hers is signed with now."""
    settings.TASKHUB_CALLBACK_SECRET = "whsec_hub"
    task = claim(make_task(owner=alice))
    return lambda: callback_for(task).secrets


def test_set_replaced_and_removed(alice, secrets_of):
    assert not ownership.retire(alice)
    assert not ownership.remove(alice)
    first = ownership.rotate(alice)
    assert secrets_of() == [first]
    second, third = ownership.rotate(alice), ownership.rotate(alice)
    assert secrets_of() == [third, second]
    assert all(parse_secrets(secret) for secret in secrets_of())
    assert ownership.retire(alice)
    assert not ownership.retire(alice)
    assert secrets_of() == [third]
    assert ownership.remove(alice)
    assert secrets_of() == ["whsec_hub"]


def test_each_step_is_on_record_and_no_secret_is(alice):
    made = [ownership.rotate(alice), ownership.rotate(alice)]
    ownership.retire(alice)
    ownership.remove(alice)
    said = list(LogEntry.objects.filter(user=alice).order_by("id").values_list("change_message", "object_repr"))
    assert [message.partition(":")[0] for message, _ in said] == ["set", "rotate", "retire", "remove"]
    assert not any(secret in str(said) for secret in made)
