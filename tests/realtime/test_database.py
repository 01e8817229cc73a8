"""The sockets' threads: not the loop's, not Django's shared one, and they leave no connection behind."""

from __future__ import annotations

import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from realtime.database import in_database
from tasks.models import Marker


@pytest.mark.django_db(transaction=True)
async def test_work_is_done_in_a_thread_of_our_own():
    shared = await sync_to_async(threading.get_ident)()
    mine = await in_database(threading.get_ident)
    assert mine not in (shared, threading.get_ident())
    assert await in_database(Marker.objects.count) == 0


@pytest.mark.django_db(transaction=True)
async def test_connections_are_given_back_and_errors_come_through():
    def work() -> object:
        Marker.objects.count()
        return connection.connection

    assert await in_database(work) is not None
    assert await in_database(lambda: connection.connection) is None
    with pytest.raises(Marker.DoesNotExist):
        await in_database(Marker.objects.get, name="x")
