"""A stream client that reads every event of a hub and keeps none: `python -m benchmarks.follow PORT TOKEN`.

It says so when it follows, in one line.
"""

from __future__ import annotations

import sys
import time

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect


def follow(port: str, token: str) -> None:
    while True:
        try:
            headers = {"Authorization": f"Bearer {token}"}
            with connect(f"ws://127.0.0.1:{port}/api/v1/tasks/stream", additional_headers=headers) as socket:
                for frame in socket:
                    if '"type":"subscribed"' in str(frame):
                        print("following", flush=True)
        except (OSError, WebSocketException):
            time.sleep(0.1)


if __name__ == "__main__":
    follow(*sys.argv[1:])
