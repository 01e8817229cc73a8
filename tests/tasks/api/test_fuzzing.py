"""Requests made up from the OpenAPI document, or to break it just so: no server error, nothing undocumented."""

from __future__ import annotations

import copy

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tasks.api.documents import document
from tests.factories import make_task

EXAMPLES = 12  # requests of each operation

schema = schemathesis.openapi.from_dict(copy.deepcopy(document()))  # which it changes
schema.app = get_wsgi_application()
OPERATIONS = {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}
# A request that follows the document may still name a handler or a cursor that there isn't.
UNTOLD = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]


@pytest.fixture
def hub(settings):
    """Without a limit of requests; and each runs in the test's transaction, as Django's own client sees to it."""
    settings.TASKHUB_RATE_LIMIT = 10**9
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def make_real(case, task):
    """Let it ask for a task and a handler that there are."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = str(task.pk)
    if isinstance(case.body, dict) and "name" in case.body:
        case.body |= {"name": "test.echo", "payload": {}}


@pytest.mark.parametrize("label", OPERATIONS)
def test_no_operation_answers_what_it_does_not_say(label, operator, hub):
    task = make_task("failed", owner=operator.user)
    headers = {"Authorization": operator.client.defaults["HTTP_AUTHORIZATION"], "Host": "localhost"}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(), is_real=st.booleans())
    def ask(case, is_real):
        if is_real:
            make_real(case, task)
        case.call_and_validate(headers=headers, excluded_checks=UNTOLD)

    ask()
