"""Secrets in what people submit: values under keys such as `password` are shown as stars, in every output. Pure.

Which keys are secret is the setting `TASKHUB_SECRET_KEYS`. A key is compared without case, `-` and `_`, and by its end:
with `token` in the list `access_token`, `X-API-Token` and `apiToken` are secret, and `token_count` is not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings

MASK = "***"


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


@lru_cache(4096)
def is_secret(key: str) -> bool:
    return _plain(key).endswith(_secret_keys())


def _secret_keys() -> tuple[str, ...]:
    return tuple(_plain(key) for key in settings.TASKHUB_SECRET_KEYS)


def _plain(key: str) -> str:
    return key.casefold().replace("-", "").replace("_", "")
