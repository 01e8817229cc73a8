"""The places at which tests break a process: each is in the code, and does what it was told as often as told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import OperationalError

from tasks import failpoints
from tasks.failpoints import POINTS, parse, reach

TASKS = Path(failpoints.__file__).parent


@pytest.fixture
def arm(settings, tmp_path):
    def arm(text: str) -> None:
        settings.DATA, settings.TASKHUB_FAILPOINT = tmp_path, text

    return arm


def test_each_place_is_in_the_code_and_the_code_has_no_other():
    reached = {name for path in TASKS.rglob("*.py") for name in re.findall(r'reach\("([^"]+)"\)', path.read_text())}
    assert reached == set(POINTS)


def test_a_place_that_is_not_armed_is_passed(arm):
    arm("")
    reach("run.begin")
    arm("run.end:raise")
    reach("run.begin")


def test_it_happens_as_often_as_told_whoever_comes_by(arm, settings):
    arm("run.begin:raise:2")
    for _ in range(2):
        with pytest.raises(OperationalError, match="failpoint"):
            reach("run.begin")
    reach("run.begin")
    another = [sys.executable, "-c", ANOTHER_PROCESS, str(settings.DATA)]
    subprocess.run(another, check=True, timeout=60)


ANOTHER_PROCESS = """
import sys
from pathlib import Path
from django.conf import settings
settings.configure(DATA=Path(sys.argv[1]), TASKHUB_FAILPOINT="run.begin:raise:2")
from tasks.failpoints import reach
reach("run.begin")
"""


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("stop", signal.SIGSTOP)])
def test_a_process_is_killed_or_stopped_there(arm, monkeypatch, action, number):
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    arm(f"run.begin:{action}")
    reach("run.begin")
    assert sent == [(os.getpid(), number)]


def test_a_process_is_delayed_there(arm, monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    arm("run.begin:sleep")
    reach("run.begin")
    assert slept == [failpoints.SLEEP]


@pytest.mark.parametrize("text", ["nowhere:kill", "run.begin", "run.begin:explode", "run.begin:kill:often"])
def test_nonsense_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="is no failpoint; write name:kill"):
        parse(text)
