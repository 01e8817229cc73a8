"""A process that is about to end tells its clients to come back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from realtime import shutdown


@pytest.fixture
def default_signal():
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.django_db(transaction=True)
async def test_the_signal_closes_every_socket_with_restart(connect, root, default_signal):
    shutdown.install()
    clients = [await connect(token=root) for _ in range(3)]
    for client in clients:
        await client.until("hello")
    os.kill(os.getpid(), signal.SIGUSR1)
    assert [await client.closed() for client in clients] == [1012] * 3


def test_a_signal_that_somebody_uses_already_is_left_alone(default_signal):
    taken = lambda *_: None  # noqa: E731
    signal.signal(signal.SIGUSR1, taken)
    shutdown.install()
    assert signal.getsignal(signal.SIGUSR1) is taken


def test_in_another_thread_nothing_is_installed(default_signal):
    thread = threading.Thread(target=shutdown.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
