"""Starting and stopping the hub, as people and supervisors do it, and what is left of it afterwards: nothing."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.hub import ROOT, Hub
from tests.processes import PATIENCE, alive, marked, until
from tests.services import free_port, missing

pytestmark = pytest.mark.processes


class Made(Hub):
    """What `make run` starts, without the installation: the interpreter of the tests stands in for the venv's."""

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home / "data", **environment)
        self.log = home / "make.log"
        del self.environment["TASKHUB_ENV"]
        self.venv = home / "venv"
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (self.venv / "bin" / "python").chmod(0o755)
        (self.venv / "has-run").touch()

    def start(self) -> None:
        if not shutil.which("make"):
            missing("make")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["make", "run", f"VENV={self.venv}"],
                env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self._is_ready, "a hub that is ready")

    def said(self, pattern: str) -> str:
        return until(lambda: re.search(pattern, self.log.read_text(), re.MULTILINE), pattern).group()


@pytest.fixture
def home(tmp_path) -> Iterator[Path]:
    """A folder; what still runs with its data when the test is over is ended, and the test fails."""
    yield tmp_path
    left = marked(f"TASKHUB_DATA={tmp_path}")
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left


def rows(hub: Hub, query: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(Path(hub.environment["TASKHUB_DATA"]) / "taskhub.sqlite3")) as database:
        return database.execute(query).fetchall()


def processes(hub: Hub) -> dict[int, str]:
    return marked(f"TASKHUB_DATA={hub.environment['TASKHUB_DATA']}")


def the(hub: Hub, word: str) -> int:
    """The leader of the group that runs that program."""
    return next(pid for pid, command in processes(hub).items() if word in command and os.getpgid(pid) == pid)


# -- make run ------------------------------------------------------------------------------------------------------


def test_a_newcomer_gets_in_submits_and_leaves(home):
    hub = Made(home)
    hub.start()
    assert hub.said(rf"http://localhost:{hub.port}$")
    assert (home / "data" / "environment").read_text() == "development\n"
    assert (home / "data").stat().st_mode & 0o077 == 0
    assert (home / "data" / "token").stat().st_mode & 0o777 == 0o600

    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    link = hub.said(r"http://\S+/signin/\S+")
    with browser.open(link) as page:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode()).group(1)
    with browser.open(link, data=f"csrfmiddlewaretoken={token}".encode()) as page:
        assert page.url == f"http://localhost:{hub.port}/"

    if not shutil.which("curl"):
        missing("curl")
    answer = subprocess.run(
        ["sh", "-c", hub.said(r"curl .*$")], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
    )
    assert '"demo.report"' in answer.stdout, answer.stderr

    os.killpg(hub.process.pid, signal.SIGINT)
    hub.process.wait(PATIENCE)
    assert not processes(hub)


def test_sigterm_to_make_stops_everything(home):
    hub = Made(home)
    hub.start()
    hub.process.send_signal(signal.SIGTERM)
    hub.process.wait(PATIENCE)
    assert not processes(hub)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 1", "needs Python 3.11 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "needs the venv module"),
    ],
)
def test_make_says_what_to_install(script, sentence, tmp_path):
    if not shutil.which("make"):
        missing("make")
    python = tmp_path / "python3.x"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    command = ["make", "run", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    assert all(line.startswith("make") for line in rest)
    assert not (tmp_path / "venv").exists()


# -- manage.py hub -------------------------------------------------------------------------------------------------


def in_production(data: Path) -> Hub:
    """One that doesn't look at the code, which may change while tests run."""
    data.mkdir()
    return Hub(
        data,
        TASKHUB_ENV="production",
        TASKHUB_SECRET_KEY="s" * 60,
        TASKHUB_CALLBACK_SECRET="whsec_" + "c2VjcmV0" * 5,
        TASKHUB_ADMIN_PASSWORD="a password for the admin",
        TASKHUB_SHUTDOWN_GRACE_S="2",
        TASKHUB_HEARTBEAT_S="1",
        TASKHUB_LEASE_S="5",
    )


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    """A database file that is in order, to be copied."""
    data = tmp_path_factory.mktemp("migrated") / "data"
    in_production(data).manage("migrate", "--verbosity", "0")
    return data / "taskhub.sqlite3"


@pytest.fixture
def hub(home, migrated) -> Iterator[Hub]:
    hub = in_production(home / "data")
    shutil.copy(migrated, home / "data")
    yield hub
    hub.stop()


def test_a_running_task_is_released_when_its_time_is_over_and_no_attempt_is_used(hub):
    hub.start()
    done, running = hub.submit(name="test.echo"), hub.submit(name="test.sleep", payload={"seconds": 600})
    hanging = hub.submit(name="test.hang")
    hub.reaches(done["id"], "completed")
    for task in (running, hanging):
        hub.reaches(task["id"], "processing")
    hub.stop()
    assert hub.process.returncode == 0
    assert not processes(hub)
    assert sorted(rows(hub, "select status, attempt from tasks_task")) == [
        ("completed", 1), ("pending", 0), ("pending", 0),
    ]  # fmt: skip
    assert rows(hub, "select count(*) from tasks_worker where stopped_at is null") == [(0,)]


def test_a_second_ctrl_c_waits_for_nobody(hub):
    hub.environment["TASKHUB_SHUTDOWN_GRACE_S"] = "600"
    hub.start()
    hub.reaches(hub.submit(name="test.sleep", payload={"seconds": 600})["id"], "processing")
    hub.process.send_signal(signal.SIGINT)
    until(lambda: "Stopping" in hub.log.read_text(), "the first one to be heard")
    hub.process.send_signal(signal.SIGINT)
    hub.process.wait(PATIENCE)
    assert hub.process.returncode == 130
    assert not processes(hub)


def test_a_killed_hub_takes_its_children_along_and_the_next_one_goes_on(hub):
    hub.start()
    task = hub.submit(name="test.steps", payload={"count": 30})
    hub.reaches(task["id"], "processing")
    hub.process.kill()
    hub.process.wait(PATIENCE)
    until(lambda: not processes(hub), "the end of its children")
    hub.start()
    assert hub.reaches(task["id"], "completed")["result"] == {"steps": 30}


@pytest.mark.parametrize("program", ["daphne", "qcluster"])
def test_a_part_that_is_killed_is_replaced(program, hub):
    hub.start()
    leader = the(hub, program)
    group = [pid for pid in processes(hub) if os.getpgid(pid) == leader]
    os.kill(leader, signal.SIGKILL)
    until(lambda: not alive(*group), "the end of its group")
    assert hub.reaches(hub.submit(name="test.echo")["id"], "completed")
    assert the(hub, program) != leader


def test_the_parts_can_run_apart(hub, home):
    with hub.log.open("ab") as log:
        command = [sys.executable, str(ROOT / "manage.py"), "hub", "--no-web", "--workers", "1"]
        workers = subprocess.Popen(command, env=hub.environment, stdout=log, stderr=log)
    until(lambda: rows(hub, "select count(*) from tasks_worker") == [(2,)], "both workers")  # one plain, one loop
    assert not any("daphne" in command for command in processes(hub).values())
    workers.send_signal(signal.SIGTERM)
    workers.wait(PATIENCE)
    port = free_port()
    hub.port = port
    with hub.log.open("ab") as log:
        command = [sys.executable, str(ROOT / "manage.py"), "hub", "--no-workers", "--port", str(port)]
        hub.process = subprocess.Popen(command, env=hub.environment, stdout=log, stderr=log)
    until(hub._is_ready, "the web server")
    assert not any("qcluster" in command for command in processes(hub).values())


def test_a_second_hub_with_the_same_data_says_so(hub):
    hub.start()
    second = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "hub", "--port", str(free_port())],
        env=hub.environment, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert second.returncode == 1
    assert re.fullmatch(r"taskhub: another hub runs with the data in .*\.\n", last_line(second.stderr))
    assert hub.request("GET", "/readyz")[0] == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "{taken}"], r"taskhub: Port \d+ is taken.*PORT=\d+\.\n"),
        (["--port", "70000"], r"taskhub: PORT is 70000; it must lie between 1 and 65535\.\n"),
        (["--workers", "0"], r"taskhub: TASKHUB_WORKERS is 0; it must lie between 1 and 256\.\n"),
        (["--host", "192.0.2.1"], r"taskhub: 192\.0\.2\.1 is not an address of this machine\.\n"),
        (["--no-web", "--no-workers"], r"taskhub: --no-web and --no-workers together leave nothing to run\.\n"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(options, sentence, hub):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [option.format(taken=taken.getsockname()[1]) for option in options]
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "hub", *command],
            env=hub.environment, capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(sentence, last_line(done.stderr))


def last_line(text: str) -> str:
    """Without the warnings of the system checks before it."""
    return text.splitlines(keepends=True)[-1]


def test_in_production_the_workers_wait_for_the_migrations(home):
    hub = in_production(home / "data")
    with hub.log.open("ab") as log:
        command = [sys.executable, str(ROOT / "manage.py"), "hub"]
        hub.process = subprocess.Popen(command, env=hub.environment, stdout=log, stderr=log)
    until(lambda: re.search("WARNING.*run `manage.py migrate`", hub.log.read_text()), "a word about migrations")
    assert not any("qcluster" in command for command in processes(hub).values())
    hub.manage("migrate", "--verbosity", "0")
    until(hub._is_ready, "a hub that is ready")
    assert hub.log.read_text().count("run `manage.py migrate`") == 1
    hub.stop()
