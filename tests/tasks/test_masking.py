"""What is secret by its key is never shown."""

from __future__ import annotations

import pytest

from tasks.masking import MASK, is_secret, mask, mask_url, scrub


@pytest.mark.parametrize(
    "key", ["password", "Password", "db_password", "api_key", "apiKey", "X-API-Key", "access-token", "Authorization"]
)
def test_secret_keys_by_their_end_in_any_spelling(key):
    assert is_secret(key)


@pytest.mark.parametrize("key", ["", "month", "token_count", "passwordless", "keys", "author"])
def test_ordinary_keys(key):
    assert not is_secret(key)


def test_values_are_masked_at_any_depth_and_the_original_is_kept():
    payload = {"user": "a", "list": [{"password": "p"}], "token": {"raw": "t"}, "secret": None}
    assert mask(payload) == {"user": "a", "list": [{"password": MASK}], "token": MASK, "secret": None}
    assert payload["token"] == {"raw": "t"}


def test_urls():
    plain = "https://example.org/hook?b=1&a=%20#end"
    assert mask_url(plain) == plain
    assert mask_url("https://example.org/hook?a=1&token=x") == f"https://example.org/hook?a=1&token={MASK}"


def test_secrets_of_the_payload_are_taken_out_of_what_a_handler_says():
    payload = {"user": "anna-maria", "password": "hunter22", "token": {"raw": ["hunter22-long", 7, "short"]}}
    error = {"detail": "no hunter22-long for anna-maria, hunter22, short", "lines": ["hunter22"], "n": 1}
    assert scrub(error, payload) == {"detail": f"no {MASK} for anna-maria, {MASK}, short", "lines": [MASK], "n": 1}
    assert scrub(error, {"user": "hunter22"}) == error
