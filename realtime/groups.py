"""The channel layer's group, and the one message that goes there. Pure.

The message is a hint and carries nothing: whoever gets it reads the log from where it stands.
"""

from __future__ import annotations

HINTS = "taskhub.hints"  # every web process that has a socket open is a member


def hint() -> dict[str, str]:
    return {"type": "log.grew"}
