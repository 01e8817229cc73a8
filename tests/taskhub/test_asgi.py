"""What a web process has loaded when it begins to answer."""

from __future__ import annotations

import subprocess
import sys

LOOK = """
import gc, sys, taskhub.asgi
print("tasks.api.tasks" in sys.modules, gc.get_freeze_count() > 50_000)
"""


def test_it_is_all_there_and_out_of_the_garbage_collectors_way():
    answer = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "True"]
