"""The policy about addresses, URLs and headers, without a network."""

from __future__ import annotations

from ipaddress import ip_address
from random import Random

import pytest

from tasks.callbacks.guard import (
    FORBIDDEN,
    AddressPolicy,
    ForbiddenUrl,
    InvalidHeaders,
    InvalidUrl,
    check_headers,
    parse_url,
)

PUBLIC = AddressPolicy.parse("")

PUBLIC_ADDRESSES = [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "168.63.129.15", "168.63.129.17",
    "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2003::1", "::ffff:1.1.1.1", "64:ff9b::101:101",
]  # fmt: skip

FORBIDDEN_ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "64:ff9b:1:7f00:0:100::",
    "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:2::1", "2001:10::1", "2001:20::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fd20:ce::254", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
    "fe80::1%eth0", "2606:4700:4700::1111%1",
    "", "localhost", "example.com", "127.1", "0177.0.0.1", "2130706433", "127.0.0.1 ", "[::1]", "\u0661.1.1.1",
]  # fmt: skip


@pytest.mark.parametrize("ip", PUBLIC_ADDRESSES)
def test_public_addresses_are_allowed(ip):
    assert PUBLIC.allows(ip, 443)


@pytest.mark.parametrize("ip", FORBIDDEN_ADDRESSES)
def test_other_addresses_are_not(ip):
    assert not PUBLIC.allows(ip, 443)


def test_the_edges_of_every_forbidden_network_are_inside():
    for network in FORBIDDEN:
        assert not PUBLIC.allows(network[0], 443)
        assert not PUBLIC.allows(network[-1], 443)


def test_nothing_that_python_calls_private_is_allowed():
    random = Random(20261122)
    addresses = [ip_address(random.getrandbits(32)) for _ in range(5000)]
    addresses += [ip_address(random.getrandbits(128) >> random.choice([0, 16, 64, 96])) for _ in range(5000)]
    allowed = [address for address in addresses if PUBLIC.allows(address, 443)]
    assert len(allowed) > 2000
    assert all(address.is_global and not address.is_multicast for address in allowed)


@pytest.mark.parametrize(
    ("text", "ip", "port", "expected"),
    [
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, True),
        ("10.0.0.0/8", "192.168.0.1", 80, False),
        ("10.0.0.7", "10.0.0.7", 80, True),
        ("10.0.0.7", "10.0.0.8", 80, False),
        ("10.0.0.0/8:8080", "10.1.2.3", 8080, True),
        ("10.0.0.0/8:8080", "10.1.2.3", 8081, False),
        ("10.0.0.0/8:8080,10.0.0.0/8:8081", "10.1.2.3", 8081, True),
        (" 127.0.0.0/8 , ::1, ", "::1", 80, True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", 80, True),
        ("127.0.0.0/8", "::1", 80, False),
        ("127.0.0.0/8", "64:ff9b::7f00:1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("[fd00::/8]", "fd12::1", 80, True),
        ("[fd00::/8]:443", "fd12::1", 443, True),
        ("[fd00::/8]:443", "fd12::1", 80, False),
        ("fe80::/10", "fe80::1%eth0", 80, False),
        ("169.254.169.254:80", "169.254.169.254", 80, True),
        ("0.0.0.0/0", "127.0.0.1", 80, True),
        ("0.0.0.0/0", "::1", 80, False),
    ],
)
def test_exemptions(text, ip, port, expected):
    assert AddressPolicy.parse(text).allows(ip, port) is expected


@pytest.mark.parametrize(
    "entry",
    [
        "nonsense", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:http",
        "10.0.0.0/8:", "10.0.0.0/8:80:90", "10", "10.0.0", "[fd00::/8", "fd00::/8]", "[fd00::/8]443", "[]:80",
        "fd00::/129", "fd00::/8:443", "10.0.0.0/8 192.168.0.0/16", "*", "/8", ":80", "http://10.0.0.1",
    ],
)  # fmt: skip
def test_nonsense_among_the_exemptions_is_named(entry):
    with pytest.raises(ValueError, match=r"is not an address range|has a port outside") as caught:
        AddressPolicy.parse(f"127.0.0.0/8,{entry}")
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com", "https://example.com/hook?a=1", "HTTPS://Example.COM:8443/", "http://my_service:8000/",
        "http://a-b.example./", "https://bücher.example/ä?ö=ü", "https://1.1.1.1/", "https://[2606:4700::1]:444/",
        "http://1and1.example/", "http://dead.beef/", "http://127.0.0.1.example/", "http://localhost.example/",
        "http://[64:ff9b::1.1.1.1]/", "http://example.com/" + "x" * 2029,
    ],
)  # fmt: skip
def test_urls_that_can_be_called(url):
    PUBLIC.check_url(url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "begin with http"),
        ("example.com/hook", "begin with http"),
        ("//example.com", "begin with http"),
        ("ftp://example.com", "begin with http"),
        ("file:///etc/passwd", "begin with http"),
        ("javascript:alert(1)", "begin with http"),
        ("http://", "no host"),
        ("http:///hook", "no host"),
        ("http:example.com", "no host"),
        ("http://:80/", "no host"),
        ("http://user@example.com", "user or password"),
        ("http://user:pass@example.com", "user or password"),
        ("http://@example.com", "user or password"),
        ("http://1.1.1.1@127.0.0.1/", "user or password"),
        ("http://example.com/#fragment", "fragment"),
        ("http://example.com#", "fragment"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "Port"),
        ("http://example.com:-1/", "Port"),
        ("http://example.com:+80/", "port"),
        ("http://example.com:8_0/", "port"),
        ("http://example.com:http/", "malformed"),
        ("http://example.com/a b", "whitespace"),
        ("http://exam ple.com/", "whitespace"),
        ("http://example.com/\r\nX: y", "whitespace"),
        ("http://example.com/\t", "whitespace"),
        ("http://example.com/\0", "control"),
        ("http://example.com/\x7f", "control"),
        ("http://example.com/\u2028", "control"),
        ("http://example.com/\u200b", "control"),
        ("http://example.com/\ud800", "control"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/" + "x" * 2030, "longer than 2,048"),
        ("http://[::1", "malformed"),
        ("http://[1.2.3.4]/", "malformed"),
        ("http://[]@/", "malformed"),
        ("http://[v1.a]/", "host is neither"),
        ("http://a..b/", "host is neither"),
        ("http://-a.example/", "host is neither"),
        ("http://*.example/", "host is neither"),
        ("http://" + "a" * 64 + ".example/", "host is neither"),
        ("http://" + "a." * 126 + "example/", "host is neither"),
        ("http://exa\u3002\u3002mple.com/", "malformed"),
        ("http://%31%32%37.0.0.1/", "host is neither"),
        ("http://exa\u00admple.com/", "control"),
    ],
)
def test_urls_that_cannot(url, sentence):
    with pytest.raises(InvalidUrl, match=sentence) as caught:
        PUBLIC.check_url(url)
    assert not isinstance(caught.value, ForbiddenUrl)


def test_loopback_may_be_exempted_by_its_names_too():
    policy = AddressPolicy.parse("127.0.0.0/8:8000")
    policy.check_url("http://localhost:8000/")
    policy.check_url("http://hub.localhost:8000/")
    with pytest.raises(ForbiddenUrl):
        policy.check_url("http://localhost:8001/")


def test_escapes_of_a_url_stay_as_they_are():
    signed = "https://logic.example/run?sp=%2Ftriggers%2frun&sig=a%2Bb+c"
    assert str(parse_url(signed)) == signed


def test_headers_that_may_be_sent():
    check_headers({})
    check_headers({"Authorization": "Bearer x", "X-Team": "", "user-agent": "own", "X_Y": " ~!\"'"})
    check_headers({f"x-{number}": "v" for number in range(20)})
    check_headers({"x" * 100: "v" * 4096})


@pytest.mark.parametrize(
    "name",
    [
        "Host", "HOST", "host", "Content-Type", "content-length", "Content-Encoding", "Connection", "Keep-Alive",
        "Transfer-Encoding", "Cookie", "TE", "Trailer", "Upgrade", "Expect", "Proxy-Authorization", "proxy-connection",
        "webhook-id", "Webhook-Signature", "WEBHOOK-anything", "taskhub-attempt", "TaskHub-Attempt-Token",
        "webhook_signature", "Transfer_Encoding", "content_length",
        "", " ", "a b", "a:b", "a\r\nb", "a\0", "naïve", "x" * 101, "(x)", "x\n",
    ],
)  # fmt: skip
def test_headers_that_may_not_be_named(name):
    with pytest.raises(InvalidHeaders) as caught:
        check_headers({"x-fine": "v", name: "v"})
    assert name[:100] in str(caught.value) or repr(name[:100]) in str(caught.value)


@pytest.mark.parametrize(
    "value", ["a\rb", "a\nb", "a\r\nX: y", "a\0b", "\t", "\x7f", "ü", "\ud800", "v" * 4097, 1, None]
)
def test_values_that_may_not_be_sent(value):
    with pytest.raises(InvalidHeaders, match="X-Team"):
        check_headers({"X-Team": value})


def test_too_many_headers_and_twins():
    with pytest.raises(InvalidHeaders, match="21 headers"):
        check_headers({f"x-{number}": "v" for number in range(21)})
    with pytest.raises(InvalidHeaders, match="X-Team is there twice"):
        check_headers({"x-team": "a", "X-Team": "b"})
