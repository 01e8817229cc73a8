"""Receivers that want to hurt: each ends as an answer, within its time and within our memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import itertools
import socket
import ssl
import tracemalloc
from contextlib import contextmanager

import aiohttp.connector
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.callbacks.request import Verdict
from tests.tasks.callbacks.conftest import make_callback

MIB = 1024 * 1024
KERNEL_BUFFERS = 16 * MIB  # what a receiver may get rid of although we read little of it
SHORT = 0.1  # seconds for a receiver that would never end
LONG_ENOUGH = 1  # seconds in which the beginning of an answer surely arrives
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def memory_growth_below(limit: int):
    """The peak of what Python allocates meanwhile, receiver included."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        assert tracemalloc.get_traced_memory()[1] - before < limit
    finally:
        tracemalloc.stop()


class Flood:
    """Sends `head`, then `chunk` until the other side hangs up or `total` bytes are through."""

    def __init__(self, head: bytes, chunk: bytes, total: int = 1024 * MIB) -> None:
        self.head, self.chunk, self.total = head, chunk, total
        self.sent = 0
        self.stopped = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self.head)
            while self.sent < self.total:
                writer.write(self.chunk)
                await writer.drain()
                self.sent += len(self.chunk)
        finally:
            self.stopped.set()


async def send_and_measure(sender, listen, flood: Flood, **fields):
    """The answer, once the receiver has noticed that we hung up."""
    with memory_growth_below(5 * MIB):
        answer = await sender.send(make_callback(await listen(flood), **fields))
        async with asyncio.timeout(10):
            await flood.stopped.wait()
    return answer


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Content-Length: 1073741824\r\n\r\n",
        OK + b"\r\n",
        OK + b"Content-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n",
    ],
)
async def test_a_gigantic_body_is_cut_off(sender, listen, head):
    flood = Flood(head, b"x" * 65_536)
    answer = await send_and_measure(sender, listen, flood)
    assert flood.sent < KERNEL_BUFFERS
    assert (answer.outcome, answer.truncated, len(answer.body)) == (Verdict.COMPLETED, True, 65_536)
    assert answer.result is None


async def test_a_gigantic_chunk_is_cut_off(sender, listen):
    flood = Flood(OK + b"Transfer-Encoding: chunked\r\n\r\n40000000\r\n", b"x" * 65_536)
    answer = await send_and_measure(sender, listen, flood)
    assert (answer.outcome, answer.truncated, len(answer.body)) == (Verdict.COMPLETED, True, 65_536)


async def test_small_chunks_without_end_are_cut_off(sender, listen):
    flood = Flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", (b"8\r\n" + b"x" * 8 + b"\r\n") * 1000)
    answer = await send_and_measure(sender, listen, flood)
    assert (answer.outcome, answer.truncated, len(answer.body)) == (Verdict.COMPLETED, True, 65_536)


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (OK, b"X-Flood: 1\r\n" * 1000),
        (OK, b"".join(b"X-Flood-%d: 1\r\n" % number for number in range(100_000))),
        (OK + b"X-Long: ", b"x" * 65_536),
        (OK, b"x" * 65_536),
        (b"HTTP/1.1 200 ", b"x" * 65_536),
        (b"", b"x" * 65_536),
        (b"", b"\0" * 65_536),
    ],
)
async def test_endless_heads_fail(sender, listen, head, chunk):
    flood = Flood(head, chunk)
    answer = await send_and_measure(sender, listen, flood)
    assert flood.sent < KERNEL_BUFFERS
    assert (answer.outcome, answer.status, answer.error["type"]) == (Verdict.FAILED, None, "CallbackProtocol")


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 65_536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65_536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"\r\n" * 1000),
    ],
)
async def test_endless_framing_ends_with_its_time(sender, listen, head, chunk):
    answer = await send_and_measure(sender, listen, Flood(head, chunk), timeout=SHORT)
    assert answer.outcome is Verdict.FAILED
    assert answer.error["type"] in ("CallbackProtocol", "CallbackConnection", "CallbackTimeout")


async def test_a_gzip_bomb_is_not_unpacked(sender, listen):
    bomb = gzip.compress(bytes(20 * MIB))
    head = OK + b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert len(bomb) < 65_536
    answer = await send_and_measure(sender, listen, Flood(head, bomb, total=1))
    assert (answer.outcome, answer.truncated, answer.result) == (Verdict.COMPLETED, False, None)
    assert len(answer.body) <= len(bomb)
    assert answer.headers["content-encoding"] == "gzip"


def drip(head: bytes, drop: bytes):
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.01)

    return handler


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 2", OK, OK + b"X-Slow: "])
async def test_a_head_that_drips_ends_with_its_time(sender, listen, head):
    answer = await sender.send(make_callback(await listen(drip(head, b"0")), timeout=SHORT))
    assert (answer.outcome, answer.status) == (Verdict.FAILED, None)
    assert answer.error["type"] in ("CallbackTimeout", "CallbackProtocol")


async def test_a_2xx_whose_body_drips_is_no_answer_and_other_statuses_speak_for_themselves(sender, listen):
    async def send(head: bytes):
        url = await listen(drip(b"HTTP/1.1 " + head + b"\r\nRetry-After: 60\r\nContent-Length: 100000\r\n\r\n{", b" "))
        return await sender.send(make_callback(url, timeout=LONG_ENOUGH))

    heads = [b"200 OK", b"202 Accepted\r\ntaskhub-defer: 1", b"410 Gone", b"503 Service Unavailable"]
    ok, deferred, gone, unavailable = await asyncio.gather(*map(send, heads))
    timeout = {"type": "CallbackTimeout", "detail": "127.0.0.1 gave no complete answer within 1 s."}
    assert (ok.outcome, ok.status, ok.error) == (Verdict.FAILED, 200, timeout)
    assert (deferred.outcome, deferred.status, deferred.error) == (Verdict.FAILED, 202, timeout)
    assert (gone.outcome, gone.status, gone.error["type"]) == (Verdict.GONE, 410, "CallbackStatus")
    assert (unavailable.outcome, unavailable.error["type"]) == (Verdict.FAILED, "CallbackStatus")
    assert unavailable.retry_after == 60
    assert all(answer.body.startswith("{") for answer in (ok, deferred, gone, unavailable))


async def test_silence_ends_with_its_time(sender, listen):
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    answer = await sender.send(make_callback(await listen(ignore), timeout=SHORT))
    assert answer.error["type"] == "CallbackTimeout"


async def test_a_receiver_that_does_not_read_ends_with_its_time(sender):
    with socket.create_server(("127.0.0.1", 0)) as server:  # whose connections nobody accepts
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        answer = await sender.send(make_callback(url, payload={"x": "x" * 1_000_000}, timeout=SHORT))
    assert answer.error["type"] == "CallbackTimeout"


BROKEN = {
    "nothing": (b"", "CallbackConnection"),
    "half a head": (OK + b"Content-Le", "CallbackConnection"),
    "half a body": (OK + b"Content-Length: 10\r\n\r\nhalf", "CallbackConnection"),
    "half a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\na\r\nhalf", "CallbackConnection"),
    "no last chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "CallbackConnection"),
    "bad chunk size": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n", None),
    "not HTTP": (b"220 mail.example ESMTP\r\n", "CallbackProtocol"),
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "CallbackProtocol"),
    "HTTP 0.9": (b"<html>hello</html>\r\n", "CallbackProtocol"),
    "HTTP 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CallbackProtocol"),
    "no status": (b"HTTP/1.1\r\n\r\n", "CallbackProtocol"),
    "status of letters": (b"HTTP/1.1 abc OK\r\n\r\n", "CallbackProtocol"),
    "long status": (b"HTTP/1.1 20000 OK\r\n\r\n", "CallbackProtocol"),
    "negative length": (OK + b"Content-Length: -1\r\n\r\n", "CallbackProtocol"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "CallbackProtocol"),
    "header without colon": (OK + b"nonsense\r\n\r\n", "CallbackProtocol"),
    "NUL in a header": (OK + b"X-A: a\0b\r\n\r\n", "CallbackProtocol"),
    "TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", None),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answers_fail(sender, listen, name):
    content, kind = BROKEN[name]

    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    answer = await sender.send(make_callback(await listen(write)))
    assert answer.outcome is Verdict.FAILED
    assert answer.error["type"] in ({kind} if kind else {"CallbackConnection", "CallbackProtocol"})


@pytest.mark.parametrize("content", [b"", OK, OK + b"Content-Length: 10\r\n\r\nhalf"])
async def test_a_reset_connection_fails(sender, listen, content):
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        writer.transport.abort()

    answer = await sender.send(make_callback(await listen(reset)))
    assert (answer.outcome, answer.error["type"]) == (Verdict.FAILED, "CallbackConnection")


async def test_an_upgrade_nobody_asked_for_fails(sender, listen):
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = await send_and_measure(sender, listen, Flood(head, b"x" * 65_536), timeout=2)
    assert (answer.outcome, answer.status) == (Verdict.FAILED, 101)


async def test_bytes_of_headers_that_are_no_text_can_be_stored(sender, listen):
    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Server: caf\xe9 \xff\r\nContent-Type: \xfe/json\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    answer = await sender.send(make_callback(await listen(write)))
    assert answer.outcome is Verdict.COMPLETED
    assert "caf" in answer.headers["server"]
    "".join(itertools.chain(*answer.headers.items())).encode()


def certificate(name: str) -> tuple[bytes, bytes]:
    """A certificate for `name` that signs itself, and its key, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(pem), private


@pytest.fixture
async def tls_receiver(listen, tmp_path):
    """The port of a TLS server for `hooks.example`, the certificate, and the host names that clients asked for."""
    path = tmp_path / "server.pem"
    public, private = certificate("hooks.example")
    path.write_bytes(public + private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    asked = []
    context.sni_callback = lambda connection, name, context: asked.append(name)
    requests = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(1)
        writer.write(OK + b"Content-Length: 0\r\n\r\n")
        await writer.drain()

    port = int((await listen(accept, ssl=context)).split(":")[2].removesuffix("/hook"))
    return port, public.decode(), asked, requests


async def test_a_certificate_that_nobody_vouches_for_is_refused(sender, dns, tls_receiver):
    port, _, _, requests = tls_receiver
    dns["hooks.example"] = ["127.0.0.1"]
    answer = await sender.send(make_callback(f"https://hooks.example:{port}/"))
    assert (answer.outcome, answer.error["type"]) == (Verdict.FAILED, "CallbackTLS")
    assert answer.error["detail"].startswith("hooks.example has a certificate that is not trusted: self")
    assert requests == []


async def test_the_certificate_is_checked_against_the_name_in_the_url(sender, dns, tls_receiver, monkeypatch):
    """Though we connect to an address that was resolved and checked before."""
    port, authority, asked, requests = tls_receiver
    trusting = ssl.create_default_context(cadata=authority)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    dns.update({"hooks.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    answer = await sender.send(make_callback(f"https://hooks.example:{port}/"))
    assert (answer.outcome, asked, requests) == (Verdict.COMPLETED, ["hooks.example"], [1])
    answer = await sender.send(make_callback(f"https://other.example:{port}/"))
    assert (answer.error["type"], requests) == ("CallbackTLS", [1])
    assert "not valid for 'other.example'" in answer.error["detail"]


@pytest.mark.parametrize("content", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b""])
async def test_https_to_what_does_not_speak_it_fails(sender, content):
    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(content)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    answer = await sender.send(make_callback(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    server.close()
    assert answer.outcome is Verdict.FAILED
    assert answer.error["type"] in ("CallbackTLS", "CallbackConnection")


async def test_a_tls_handshake_that_hangs_ends_with_its_time(sender):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        answer = await sender.send(make_callback(url, timeout=SHORT))
    assert answer.error["type"] == "CallbackTimeout"
