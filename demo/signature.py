"""How a receiver checks who a callback is from (Standard Webhooks, version 1). It uses nothing of TaskHub:
it is what you would write in a service of your own, or take from a library for your language.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping

TOLERANCE = 300  # seconds that our clocks may differ; what is older may be a replay


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether `body`, byte for byte as it arrived, was signed with `secret` within the last five minutes.

    `headers` are looked up by their lower-case names.
    """
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = base64.b64encode(hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")).decode()
    signatures = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{signed}".encode(), candidate.encode()) for candidate in signatures)
