"""Signatures, against the verifier of the specification's authors."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tasks.callbacks.signature import generate_secret, parse_secrets, sign

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
BODY = '{"month":"2026-11","name":"Zoë"}'.encode()


def verify(secret: str, signature: str, *, id: str = ID, timestamp: int, body: bytes = BODY) -> None:
    headers = {"webhook-id": id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    Webhook(secret).verify(body, headers, json_parse=False)


def test_the_example_of_the_specification():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_a_verifier_accepts_what_we_sign():
    secret, now = generate_secret(), int(time.time())
    verify(secret, sign(secret, ID, now, BODY), timestamp=now)


def test_while_a_secret_is_replaced_both_verify():
    old, new, now = generate_secret(), generate_secret(), int(time.time())
    signature = sign(f"{new} {old}", ID, now, BODY)
    assert len(signature.split()) == 2
    verify(old, signature, timestamp=now)
    verify(new, signature, timestamp=now)
    with pytest.raises(WebhookVerificationError):
        verify(generate_secret(), signature, timestamp=now)


def test_each_byte_of_the_body_counts():
    secret, now = generate_secret(), int(time.time())
    signature = sign(secret, ID, now, b"0123456789")
    for index in range(10):
        tampered = b"0123456789"[:index] + b"x" + b"0123456789"[index + 1 :]
        with pytest.raises(WebhookVerificationError):
            verify(secret, signature, timestamp=now, body=tampered)


def test_id_and_timestamp_are_signed():
    secret, now = generate_secret(), int(time.time())
    signature = sign(secret, ID, now, BODY)
    with pytest.raises(WebhookVerificationError):
        verify(secret, signature, timestamp=now, id=ID[:-1] + "8")
    with pytest.raises(WebhookVerificationError):
        verify(secret, signature, timestamp=now - 1)


@pytest.mark.parametrize("offset", [-302, 302])
def test_verifiers_refuse_what_is_five_minutes_off(offset):
    secret, moment = generate_secret(), int(time.time()) + offset
    with pytest.raises(WebhookVerificationError, match="timestamp too"):
        verify(secret, sign(secret, ID, moment, BODY), timestamp=moment)


def test_generated_secrets_differ_and_parse():
    first, second = generate_secret(), generate_secret()
    assert first != second
    assert [len(key) for key in parse_secrets(f"{first} {second}")] == [32, 32]


def test_padding_may_be_left_out():
    secret = "whsec_" + base64.b64encode(b"k" * 25).decode()
    assert parse_secrets(secret.rstrip("=")) == parse_secrets(secret) == [b"k" * 25]


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "missing"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begin with whsec_"),
        ("whsec_*** not base64", "base64 after whsec_"),
        ("whsec_é", "base64 after whsec_"),
        ("whsec_" + base64.b64encode(b"short").decode(), "this one holds 5"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "this one holds 65"),
        (f"{generate_secret()} nonsense", "begin with whsec_"),
    ],
)
def test_a_wrong_secret_is_explained_and_not_quoted(secret, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_secrets(secret)
    assert not any(len(word) > 6 and word in str(caught.value) for word in secret.split())


def test_an_id_with_a_full_stop_is_not_signed():
    with pytest.raises(ValueError, match="full stop"):
        sign(generate_secret(), "a.b", 1, b"")
