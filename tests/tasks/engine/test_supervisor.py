"""The supervisor over real processes that do nothing: see fake_hub. tests/journeys has it over the real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import PATIENCE, alive, until

pytestmark = pytest.mark.processes
LONG = 3600.0  # seconds of grace that no test waits for


class FakeHub:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: set[int] = set()

    def start(self, grace: float = LONG, **options) -> None:
        (self.folder / "options.json").write_text(json.dumps({"grace": grace} | options))
        with (self.folder / "output").open("w") as output:  # a pipe would stay open in what leaves its group
            command = [sys.executable, "-m", "tests.tasks.engine.fake_hub", str(self.folder)]
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def said(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def started(self, name: str) -> list[list[int]]:
        """For each start of that child the ids of its program, of one of its group, of one that left the group."""
        starts = [[int(pid) for pid in line.split()[1:]] for line in self.said(name) if line.startswith("started")]
        self.pids.update(pid for pids in starts for pid in pids)
        return starts

    def until_started(self, name: str, times: int = 1) -> list[int]:
        """The ids of that start."""
        return until(lambda: self.started(name)[times - 1 :], f"start {times} of {name}")[0]

    def until_said(self, name: str, word: str) -> None:
        until(lambda: word in self.said(name), f"{word} of {name}")

    def output(self) -> str:
        """All that it has said, once it has ended."""
        self.process.wait(PATIENCE)
        return (self.folder / "output").read_text()

    def until_gone(self, *pids: int) -> None:
        until(lambda: not alive(*pids), f"the end of {pids}")


@pytest.fixture
def hub(tmp_path) -> Iterator[FakeHub]:
    hub = FakeHub(tmp_path)
    yield hub
    hub.process.kill()
    hub.process.wait(PATIENCE)
    for pid in alive(*hub.pids):
        os.kill(pid, signal.SIGKILL)


def test_told_to_stop_it_lets_both_finish_and_leaves_nothing_behind(hub):
    hub.start()
    web, cluster = hub.until_started("web"), hub.until_started("cluster")
    hub.process.send_signal(signal.SIGTERM)
    hub.until_said("cluster", "told")
    hub.until_said("web", "terminated")
    assert hub.said("web").index("closing") < hub.said("web").index("terminated")
    assert hub.process.poll() is None  # tasks are running still
    (hub.folder / "quiet").touch()
    assert hub.output().splitlines() == ["ready", "True"]
    assert (hub.folder / "given_back").exists()
    assert not alive(*web, *cluster[:2])
    if sys.platform == "linux":
        assert not alive(*cluster)


def test_after_the_grace_it_waits_no_longer(hub):
    hub.start(grace=0.1)
    pids = hub.until_started("web") + hub.until_started("cluster")
    hub.process.send_signal(signal.SIGTERM)
    assert hub.output().endswith("True\n")
    assert not alive(*pids[:5])


def test_a_second_ctrl_c_ends_everything_at_once(hub):
    hub.start()
    pids = hub.until_started("web") + hub.until_started("cluster")
    hub.process.send_signal(signal.SIGINT)
    hub.until_said("cluster", "told")
    hub.process.send_signal(signal.SIGINT)
    assert hub.output().endswith("False\n")
    assert not alive(*pids[:5])


@pytest.mark.parametrize("name", ["web", "cluster"])
def test_a_child_that_dies_is_started_again_and_what_it_left_is_ended(name, hub):
    hub.start()
    others = hub.until_started("cluster" if name == "web" else "web")
    program, mate, _ = hub.until_started(name)
    os.kill(program, signal.SIGKILL)
    hub.until_started(name, times=2)
    hub.until_gone(mate)
    assert alive(*others) == set(others)
    assert (hub.folder / "restarts").read_text().split() == [name]
    assert (hub.folder / "given_back").exists() is (name == "cluster")


def test_a_cluster_that_makes_no_progress_is_started_anew(hub):
    hub.start()
    web, cluster = hub.until_started("web"), hub.until_started("cluster")
    (hub.folder / "complaint").touch()
    hub.until_started("cluster", times=2)
    assert not alive(*cluster[:2])
    assert alive(*web) == set(web)
    assert "told" not in hub.said("cluster")
    assert (hub.folder / "restarts").read_text().split() == ["cluster"]


def test_both_are_started_anew_when_the_code_changes(hub):
    hub.start()
    before = hub.until_started("web") + hub.until_started("cluster")
    (hub.folder / "code" / "broken.py").write_text("def (")
    (hub.folder / "quiet").touch()
    (hub.folder / "code" / "broken.py").write_text("x = 1")
    hub.until_started("web", times=2)
    hub.until_started("cluster", times=2)
    assert not alive(*before[:5])
    assert "told" in hub.said("cluster")
    assert "closing" in hub.said("web")


def test_the_children_of_a_killed_supervisor_end(hub):
    hub.start()
    web, cluster = hub.until_started("web"), hub.until_started("cluster")
    hub.process.kill()
    hub.until_gone(*web, *cluster[:2])


def test_the_web_server_does_not_wait_for_the_database_and_the_cluster_does(hub):
    (hub.folder / "unready").touch()
    hub.start()
    hub.until_started("web")
    assert hub.started("cluster") == []
    (hub.folder / "unready").unlink()
    hub.until_started("cluster")


def test_an_error_of_its_own_leaves_nothing_behind(hub):
    (hub.folder / "unready").touch()
    hub.start(fails=True)
    web = hub.until_started("web")
    (hub.folder / "unready").unlink()
    assert "an error of ours" in hub.output()
    assert hub.process.returncode == 1
    assert not alive(*web)
