"""Signing as the Standard Webhooks specification says, version 1 (HMAC-SHA256). Pure; anybody may import it.

A secret is `whsec_` and 24 to 64 random bytes in base64. While one is being replaced, write the new and the old
with a space between them: receivers accept either signature.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

PREFIX = "whsec_"
SECRET_BYTES = 32


def generate_secret() -> str:
    """A new secret, `whsec_...`."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def parse_secrets(text: str) -> list[bytes]:
    """The keys in one or several secrets. Raises `ValueError` with a sentence, which never quotes the secret."""
    keys = [_key(secret) for secret in text.split()]
    if not keys:
        raise ValueError(f"A callback secret is missing: it begins with {PREFIX}.")
    return keys


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,...` for each secret in `secret`.

    `id` holds no full stop, `timestamp` is in seconds, and `body` is what is sent, byte for byte.
    """
    if "." in id:
        raise ValueError("The id of a signed message must not contain a full stop.")
    content = f"{id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, "sha256") for key in parse_secrets(secret))
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix(PREFIX)
    if encoded == secret:
        raise ValueError(f"A callback secret must begin with {PREFIX}.")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"A callback secret must be base64 after {PREFIX}.") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"A callback secret must hold 24 to 64 bytes; this one holds {len(key)}.")
    return key
