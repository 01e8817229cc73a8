"""Where the web server listens."""

from __future__ import annotations

import os
import socket

import pytest

from tasks.engine import address
from tasks.engine.address import Address, CannotListen
from tests.services import free_port


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(address, "PATIENCE", 0.0)


def test_daphne_takes_over_the_socket():
    port = free_port()
    listening = Address("127.0.0.1", port)
    option, number = listening.options()
    assert option == "--fd"
    assert listening.descriptors() == [int(number)]
    assert os.fstat(int(number))
    with socket.create_connection(("127.0.0.1", port)):
        pass
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_socket_of_ipv6_is_daphnes_to_open():
    port = free_port()
    try:
        listening = Address("[::1]", port)
    except CannotListen:
        pytest.skip("this machine has no IPv6")
    assert listening.options() == ["--bind", "::1", "--port", str(port)]
    assert listening.descriptors() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", port))


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"^Port {port} is taken.* PORT={port + 1}.$"):
            Address("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "message"),
    [("192.0.2.1", "192.0.2.1 is not an address of this machine"), ("no-such-host.invalid", "Cannot listen on")],
)
def test_a_host_that_is_not_here(host, message):
    with pytest.raises(CannotListen, match=message):
        Address(host, free_port())
