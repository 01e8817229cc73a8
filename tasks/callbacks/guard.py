"""What callbacks may carry and reach: headers, URLs and, above all, addresses. Pure; anybody may ask.

`AddressPolicy.check_url` and `check_headers` judge a submission, without DNS. What a name leads to is judged by
`connector`, with the same policy, on the address that is really used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from yarl import URL

from tasks.exceptions import TaskhubError

Address: TypeAlias = IPv4Address | IPv6Address

URL_LIMIT = 2048  # characters
HOST_LIMIT = 253
HEADERS_LIMIT = 20
HEADER_NAME_LIMIT = 100  # characters, as the next
HEADER_VALUE_LIMIT = 4096

FORBIDDEN = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT, and Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host
            "169.254.0.0/16",  # link-local, and most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata
            "192.0.2.0/24",  # documentation, as are 198.51.100 and 203.0.113
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            # Only 2000::/3 is handed out for global unicast. So these three hold loopback, ULA, link- and site-local,
            # multicast, SRv6, IPv4-compatible and locally translated addresses, and what will be invented yet.
            "::/3",
            "4000::/2",
            "8000::/1",
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",  # documentation, as is the last
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)
NAT64 = IPv6Network("64:ff9b::/96")

ENTRY = re.compile(r"(?:\[(?P<v6>[^][]+)\]|(?P<v4>[^][:]+))(?::(?P<port>[0-9]{1,5}))?|(?P<bare>[^][]+)")
AUTHORITY = re.compile(r"(?:\[.*\]|[^:]*)(?::[0-9]*)?")
LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?")
NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.*")  # what resolvers take for IPv4, however written
LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[ -~]*")

RESERVED_HEADERS = frozenset(
    {"connection", "cookie", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
RESERVED_PREFIXES = ("content-", "proxy-", "webhook-", "taskhub-")


class InvalidUrl(TaskhubError, ValueError):
    """No URL that a callback can be sent to; the message is a sentence for whoever wrote it."""


class ForbiddenUrl(InvalidUrl):
    """A URL whose host is, literally, an address that callbacks may not reach."""


class InvalidHeaders(TaskhubError, ValueError):
    """Headers that a callback must not carry; the message names the first."""


class ForbiddenAddress(TaskhubError, OSError):
    """A connection refused by us before it was tried. The message does not tell what a name resolved to."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """Addresses that callbacks may reach although they are forbidden, on one port or (None) on all."""

    network: IPv4Network | IPv6Network
    port: int | None

    @classmethod
    def parse(cls, entry: str) -> Exemption:
        """From `CIDR[:port]`, with an IPv6 CIDR that has a port in brackets. Raises `ValueError`."""
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"{entry!r} is not an address range: write CIDR, CIDR:port or [IPv6 CIDR]:port.")
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 1 <= port <= 65_535:
            raise ValueError(f"{entry!r} has a port outside 1 to 65535.")
        try:
            return cls(ip_network(match["v6"] or match["v4"] or match["bare"]), port)
        except ValueError as error:
            raise ValueError(f"{entry!r} is not an address range: {error}.") from None

    def covers(self, address: Address, port: int) -> bool:
        return address in self.network and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses, and whatever the operator exempted."""

    exemptions: tuple[Exemption, ...] = ()

    @classmethod
    def parse(cls, text: str) -> AddressPolicy:
        """From a comma list of `CIDR[:port]`; empty exempts nothing. Raises `ValueError` naming the wrong entry."""
        entries = (entry.strip() for entry in text.split(","))
        return cls(tuple(Exemption.parse(entry) for entry in entries if entry))

    def allows(self, ip: str | Address, port: int) -> bool:
        """Whether a connection to this address may be made. What is no plain address (a name, a scope id) may not."""
        address = _canonical(ip)
        if address is None:
            return False
        return any(exemption.covers(address, port) for exemption in self.exemptions) or not _forbidden(address)

    def check_url(self, url: str) -> None:
        """Raise `InvalidUrl`, or `ForbiddenUrl` for a literal address that may not be reached. Asks no DNS."""
        parsed = parse_url(url)
        host, port = parsed.raw_host or "", parsed.port or 0
        literals = _literals(host)
        if literals and not any(self.allows(literal, port) for literal in literals):
            raise ForbiddenUrl(f"{host} is a private or reserved address that TASKHUB_CALLBACK_ALLOW does not list.")


def parse_url(url: str) -> URL:
    """The URL as it will be requested: of ASCII URLs every escape stays as it is, since some are signed.

    Raises `InvalidUrl`.
    """
    if len(url) > URL_LIMIT:
        raise InvalidUrl(f"The URL is longer than {URL_LIMIT:,} characters.")
    if not url.isprintable() or " " in url or "\\" in url:
        raise InvalidUrl("The URL contains whitespace, a backslash or a control character.")
    try:
        parsed = URL(url, encoded=url.isascii())
        problem = next(_problems(url, parsed), None)
    except (ValueError, IndexError) as error:  # the latter from brackets before an @
        problem = f"The URL is malformed: {str(error).removeprefix('Invalid URL: ').rstrip('.')}."
    if problem is not None:
        raise InvalidUrl(problem)
    return parsed


def _problems(url: str, parsed: URL) -> Iterator[str]:
    if parsed.scheme not in ("http", "https"):
        yield "The URL must begin with http:// or https://."
    if not parsed.raw_host:
        yield "The URL has no host."
    if "@" in parsed.raw_authority:
        yield "The URL must not contain a user or password; use callback_headers."
    if "#" in url:
        yield "The URL must not contain a fragment."
    if not _is_host(parsed):
        yield "The URL's host is neither a name nor an address written as 203.0.113.7 or [2001:db8::7]."
    if parsed.port == 0 or not AUTHORITY.fullmatch(parsed.raw_authority):
        yield "The URL's port must be between 1 and 65535."


def _is_host(url: URL) -> bool:
    host = url.raw_host or ""
    if len(host) > HOST_LIMIT:
        return False
    if url.raw_authority.startswith("[") or NUMERIC.fullmatch(host):
        return _canonical(host) is not None
    return NAME.fullmatch(host) is not None


def _literals(host: str) -> tuple[str, ...]:
    """The addresses that `host` means without DNS: none for an ordinary name."""
    if ":" in host or NUMERIC.fullmatch(host):
        return (host,)
    name = host.rstrip(".").lower()
    return ("127.0.0.1", "::1") if name in LOOPBACK_NAMES or name.endswith(".localhost") else ()


def _canonical(ip: str | Address) -> Address | None:
    """The address that packets go to: a v4-mapped one is IPv4 to the kernel. None for what is no address of ours."""
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address


def _forbidden(address: Address) -> bool:
    if address in NAT64:  # how hosts without IPv4 reach all of it; the embeddings that nobody needs are forbidden whole
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    return any(address in network for network in FORBIDDEN)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise `InvalidHeaders` unless a callback may carry these beside its own."""
    if len(headers) > HEADERS_LIMIT:
        raise InvalidHeaders(f"There are {len(headers)} headers; at most {HEADERS_LIMIT} are sent.")
    seen = set()
    for name, value in headers.items():
        folded = _check_name(name)
        if folded in seen:
            raise InvalidHeaders(f"The header {name} is there twice.")
        seen.add(folded)
        _check_value(name, value)


def _check_name(name: str) -> str:
    """The name as receivers compare it; some cannot tell an underscore from a hyphen."""
    if not isinstance(name, str) or len(name) > HEADER_NAME_LIMIT or not TOKEN.fullmatch(name):
        raise InvalidHeaders(f"{str(name)[:HEADER_NAME_LIMIT]!r} is not the name of a header.")
    folded = name.lower().replace("_", "-")
    if folded in RESERVED_HEADERS or folded.startswith(RESERVED_PREFIXES):
        raise InvalidHeaders(f"The header {name} is set by TaskHub or belongs to the connection.")
    return folded


def _check_value(name: str, value: str) -> None:
    if not isinstance(value, str):
        raise InvalidHeaders(f"The header {name} must be a string.")
    if len(value) > HEADER_VALUE_LIMIT:
        raise InvalidHeaders(f"The header {name} is longer than {HEADER_VALUE_LIMIT:,} characters.")
    if not VALUE.fullmatch(value):
        raise InvalidHeaders(f"The header {name} may hold printable ASCII characters only, on one line.")
