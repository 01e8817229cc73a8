"""Server-side request forgery: no connection is made to what the policy forbids, however it is written or resolved."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tasks.callbacks.connector import GuardedConnector
from tasks.callbacks.guard import AddressPolicy
from tasks.callbacks.request import Sender, Verdict
from tests.tasks.callbacks.conftest import make_callback

PUBLIC_IP = "93.184.215.14"

# Where each of these leads, if anywhere: this machine, its neighbours, or a cloud's metadata.
HOSTS = [
    # loopback, as written by people and by attackers
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "127.0.0.1.", "2130706433", "017700000001", "0x7f000001",
    "0x7f.1", "0x7F.0x0.0x0.0x1", "0177.0.0.1", "0177.0.0.01", "0", "0.0.0.0", "00000000000000000177.0.0.1",
    "①②⑦.⓪.⓪.①", "127。0。0。1", "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "%31%32%37.0.0.1", "localhost",
    "LOCALHOST", "localhost.", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "a.localhost", "localhost.localdomain", "ip6-localhost",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::FFFF:0:0]",
    "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[::1%25lo]", "[::1%lo]",
    # private, shared and special
    "10.0.0.1", "100.64.0.1", "172.16.0.1", "192.168.0.1", "192.0.0.1", "192.88.99.1", "198.18.0.1", "224.0.0.1",
    "255.255.255.255", "[fc00::1]", "[fd00::1]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]", "[ff02::1]", "[5f00::1]",
    "[2001:db8::1]", "[2001:0:7f00:1::]", "[3fff::1]", "[100::1]",
    # metadata services
    "169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]",
    # somebody else in front
    "example.com@127.0.0.1", "example.com:80@127.0.0.1", "example.com%40@127.0.0.1", "example.com#@127.0.0.1",
    "example.com\\@127.0.0.1", "example.com /@127.0.0.1",
]  # fmt: skip

NAMES = {
    "loopback.example": ["127.0.0.1"],
    "loopback6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "cname-to-private.example": ["10.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "mixed.example": [PUBLIC_IP, "127.0.0.1"],
    "mixed6.example": ["2606:4700:4700::1111", "::1"],
    "private-last.example": [PUBLIC_IP, "2606:4700:4700::1111", "192.168.1.1"],
}


class Watch:
    """Every address that a connection was tried to, and the listener that attackers want to reach."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.reached = 0
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached += 1
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


@pytest.fixture
async def watch(monkeypatch):
    """Listens on every interface, and sees connections before they are made: only loopback ones really are."""
    watch, loop = Watch(), asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock: socket.socket, address: tuple) -> None:
        watch.tried.append(address[0])
        if address[0] not in ("127.0.0.1", "::1"):
            raise ConnectionRefusedError(111, "not from a test")
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    server = await asyncio.start_server(watch.accept, None, 0, family=socket.AF_INET)
    watch.port = server.sockets[0].getsockname()[1]
    yield watch
    server.close()


@pytest.fixture
async def public_sender():
    async with Sender(AddressPolicy.parse(""), "TaskHub/test") as sender:
        yield sender


@pytest.mark.parametrize("host", HOSTS)
async def test_no_way_of_writing_a_forbidden_host_connects(watch, dns, public_sender, host):
    url = f"http://{host}:{watch.port}/hook"
    answer = await public_sender.send(make_callback(url))
    assert answer.outcome is Verdict.FAILED
    assert answer.status is None
    assert answer.error["type"] in ("CallbackForbidden", "CallbackInvalid")
    assert watch.tried == []
    assert watch.reached == 0


@pytest.mark.parametrize("host", [host for host in HOSTS if not set("@ \\%") & set(host)])
async def test_the_connector_alone_refuses_them_too(watch, dns, host):
    """What the check of the URL might ever overlook is still met by the check of the address."""
    async with aiohttp.ClientSession(connector=GuardedConnector(AddressPolicy.parse(""))) as session:
        with pytest.raises((aiohttp.ClientError, ValueError, UnicodeError)):
            await session.get(f"http://{host}:{watch.port}/hook")
    assert watch.tried == []
    assert watch.reached == 0


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_with_one_forbidden_address_is_refused_whole(watch, dns, public_sender, name):
    dns.update(NAMES)
    answer = await public_sender.send(make_callback(f"http://{name}:{watch.port}/hook"))
    assert answer.outcome is Verdict.FAILED
    assert answer.error == {
        "type": "CallbackForbidden",
        "detail": f"{name} leads to a private or reserved address that TASKHUB_CALLBACK_ALLOW does not list.",
    }
    assert watch.tried == []
    assert watch.reached == 0


async def test_a_link_local_answer_with_a_scope_is_refused(watch, monkeypatch, public_sender):
    answer = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700:4700::1111", watch.port, 0, 2))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: answer)
    refused = await public_sender.send(make_callback(f"http://scoped.example:{watch.port}/"))
    assert refused.error["type"] == "CallbackForbidden"
    assert watch.tried == []


async def test_public_addresses_are_tried(watch, dns, public_sender):
    """The control: without it the tests above could pass because nothing ever connects."""
    dns["public.example"] = [PUBLIC_IP, "2606:4700:4700::1111"]
    answer = await public_sender.send(make_callback("http://public.example/hook"))
    assert answer.error == {
        "type": "CallbackConnection",
        "detail": "public.example could not be connected to: Connection refused.",
    }
    assert set(watch.tried) == {PUBLIC_IP, "2606:4700:4700::1111"}


@pytest.mark.parametrize("host", ["127.0.0.1", "internal.example"])
async def test_exempted_addresses_are_reached_on_their_port_only(watch, dns, host):
    dns["internal.example"] = ["127.0.0.1"]
    async with Sender(AddressPolicy.parse(f"127.0.0.0/8:{watch.port}"), "TaskHub/test") as sender:
        answer = await sender.send(make_callback(f"http://{host}:{watch.port}/hook"))
        elsewhere = await sender.send(make_callback(f"http://{host}:{watch.port + 1}/hook"))
    assert answer.outcome is Verdict.COMPLETED
    assert elsewhere.error["type"] == "CallbackForbidden"
    assert (watch.tried, watch.reached) == (["127.0.0.1"], 1)


async def test_a_name_that_is_bound_anew_never_leads_inside(watch, dns):
    """A thousand names answer with a public address first and with the loopback ever after."""
    asked = {}

    def rebind(name: str):
        asked[name] = asked.get(name, 0) + 1
        return [PUBLIC_IP if asked[name] == 1 else "127.0.0.1"]

    connector = GuardedConnector(AddressPolicy.parse(""), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        for number in range(1000):
            name = f"rebind-{number}.example"
            dns[name] = lambda name=name: rebind(name)
            for _ in range(2):
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(URL.build(scheme="http", host=name, port=watch.port))
                connector.clear_dns_cache()
    assert set(asked.values()) == {2}
    assert watch.tried == [PUBLIC_IP] * 1000
    assert watch.reached == 0


async def test_a_redirect_inside_is_not_followed(watch, receive):
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{watch.port}/"})

    url = await receive(away)
    async with Sender(AddressPolicy.parse("127.0.0.0/8"), "TaskHub/test") as sender:
        answer = await sender.send(make_callback(url))
    assert (answer.outcome, answer.status) == (Verdict.FAILED, 302)
    assert answer.error["detail"] == "127.0.0.1 answered 302 Found."
    assert watch.reached == 0


async def test_proxies_of_the_environment_are_not_used(watch, dns, public_sender, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{watch.port}")
    dns["public.example"] = [PUBLIC_IP]
    await public_sender.send(make_callback("http://public.example/hook"))
    assert watch.tried == [PUBLIC_IP]


async def test_a_refusal_is_logged_with_its_address_for_the_operator(dns, public_sender, caplog):
    dns["internal.example"] = ["10.1.2.3"]
    await public_sender.send(make_callback("http://internal.example/"))
    assert "Refused a callback to internal.example: 10.1.2.3 port 80 is not allowed." in caplog.messages


async def test_slow_name_servers_do_not_hold_up_other_names(dns, sender, receive):
    """Forty lookups hang: the default executor of a small machine would have no thread left."""
    everybody, release = threading.Barrier(41, timeout=10), threading.Event()

    def hang() -> list[str]:
        everybody.wait()
        release.wait()
        return ["10.0.0.1"]

    async def accept(request: web.Request) -> web.Response:
        return web.Response()

    names = [f"slow-{number}.example" for number in range(40)]
    dns.update(dict.fromkeys(names, hang), **{"fast.example": ["127.0.0.1"]})
    slow = [asyncio.create_task(sender.send(make_callback(f"http://{name}/"))) for name in names]
    try:
        await asyncio.to_thread(everybody.wait)
        url = URL(await receive(accept)).with_host("fast.example")
        assert (await sender.send(make_callback(str(url)))).outcome is Verdict.COMPLETED
    finally:
        release.set()
        await asyncio.gather(*slow)
