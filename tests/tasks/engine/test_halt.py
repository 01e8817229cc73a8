"""One byte that all processes of a pool share: tried in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

POOL = """
import os
from tasks.engine import halt

print(halt.is_said())
if not os.fork():
    halt.say()
    os._exit(0)
os.wait()
print(halt.is_said())
"""


@pytest.mark.processes
def test_what_one_process_says_all_hear():
    pool = subprocess.run([sys.executable, "-c", POOL], capture_output=True, text=True, check=True, timeout=60)
    assert pool.stdout.split() == ["False", "True"]


@pytest.mark.processes
def test_nobody_else_hears_it():
    other = "from tasks.engine import halt; halt.say(); print(halt.is_said())"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", other], check=True, capture_output=True, timeout=60)
    fresh = "from tasks.engine import halt; print(halt.is_said())"
    said = subprocess.run([sys.executable, "-c", fresh], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == "False"
