"""System checks of what carries the stream: the channel layer, and the versions under it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

TAG = "taskhub"


def register_all() -> None:
    """Called once, at start-up."""
    for check in (check_layer, check_redis):
        register(check, TAG)


def check_layer(**_: Any) -> Iterator[CheckMessage]:
    try:
        problem = "" if get_channel_layer() else "CHANNEL_LAYERS has no layer called default"
    except (InvalidChannelLayerError, ImportError) as error:
        problem = str(error)
    if problem:
        yield Error(
            f"There is no channel layer: {problem}.",
            hint="Leave CHANNEL_LAYERS as taskhub/settings.py makes it, and set REDIS_URL for Redis.",
            id="realtime.E001",
        )


def check_redis(**_: Any) -> Iterator[CheckMessage]:
    found = version("redis")
    if settings.REDIS_URL and int(found.partition(".")[0]) >= 8:
        yield Error(
            f"redis-py is {found}: from 8.0 on each idle consumer of channels-redis ends after five seconds.",
            hint="Install what requirements/run.txt names.",
            id="realtime.E002",
        )
