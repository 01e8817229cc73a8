"""Secrets in what people submit: values under keys such as `password` are shown as stars, in every output. Pure.

Which keys are secret is the setting `TASKHUB_MASKED_KEYS`. A key is compared without case, `-` and `_`, and by its end:
with `token` in the list `access_token`, `X-API-Token` and `apiToken` are secret, and `token_count` is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings

MASK = "***"
SHORTEST = 6  # characters


def mask(value: Any) -> Any:
    """A copy of a JSON value with what is under a secret key replaced, at any depth."""
    if isinstance(value, dict):
        return {key: MASK if item is not None and is_secret(key) else mask(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item) for item in value]
    return value


def mask_url(url: str) -> str:
    """The same for the parameters of a query, `?token=…`."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not any(is_secret(key) for key, _ in query):
        return url
    masked = [(key, MASK if is_secret(key) else item) for key, item in query]
    return parts._replace(query=urlencode(masked, safe=MASK)).geturl()


def scrub(value: Any, payload: Any) -> Any:
    """A copy of a JSON value in whose texts the secrets of `payload` are replaced: for what a handler says of itself.

    Only what is long enough to be a secret counts, else every "a" would go.
    """
    return without(value, secrets_in(payload))


def secrets_in(payload: Any) -> list[str]:
    """The texts under secret keys, the longest first: one may be part of another."""
    return sorted(_secrets(payload), key=len, reverse=True)


def _secrets(value: Any, is_named: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, is_named or is_secret(key))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, is_named)
    elif is_named and isinstance(value, str) and len(value) >= SHORTEST:
        yield value


def without(value: Any, secrets: list[str]) -> Any:
    """A copy of a JSON value in whose texts `secrets` are replaced; the value itself when there are none."""
    if not secrets:
        return value
    if isinstance(value, dict):
        return {key: without(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
    return value


@lru_cache(4096)
def is_secret(key: str) -> bool:
    return _plain(key).endswith(_secret_keys())


def _secret_keys() -> tuple[str, ...]:
    return tuple(_plain(key) for key in settings.TASKHUB_MASKED_KEYS)


def _plain(key: str) -> str:
    return key.casefold().replace("-", "").replace("_", "")
