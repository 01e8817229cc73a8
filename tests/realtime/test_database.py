"""The sockets' threads: not the loop's, not Django's shared one, and they keep their connections for a while."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from realtime import database
from realtime.database import in_database
from tasks.models import Marker


@pytest.mark.django_db(transaction=True)
async def test_work_is_done_in_a_thread_of_our_own():
    shared = await sync_to_async(threading.get_ident)()
    mine = await in_database(threading.get_ident)
    assert mine not in (shared, threading.get_ident())
    assert await in_database(Marker.objects.count) == 0


def connected() -> object:
    Marker.objects.count()
    return connection.connection


@pytest.mark.django_db(transaction=True)
async def test_connections_are_kept_until_they_are_given_back_and_errors_come_through():
    kept = {id(await in_database(connected)) for _ in range(20)}
    assert len(kept) <= database.THREADS
    await asyncio.gather(*map(asyncio.wrap_future, database.give_back()))
    assert {await in_database(lambda: connection.connection) for _ in range(20)} == {None}
    with pytest.raises(Marker.DoesNotExist):
        await in_database(Marker.objects.get, name="x")


@pytest.mark.postgres
async def test_a_connection_that_was_cut_meanwhile_is_not_used_again(sockets_on_postgres):
    def cut() -> None:
        connected()
        connection.connection.close()

    for _ in range(database.THREADS):
        await in_database(cut)
    for _ in range(2 * database.THREADS):
        assert await in_database(connected) is not None
