"""A supervisor of two small programs, as a process of its own: `python -m tests.tasks.engine.fake_hub FOLDER`.

The folder holds what they say of themselves (`web`, `cluster`: a line each) and what a test says to the database that
isn't there: a file `complaint`, `quiet`, `unready` is a fact as long as it exists. `options.json` has the grace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def program(folder: Path, name: str) -> None:
    """What both children are: one process, one of the same group, one that has left it."""
    import signal

    from tasks.engine import lifeline

    def say(word: object) -> None:
        with (folder / name).open("a") as file:
            file.write(f"{word}\n")

    def leave(number: int, frame: object) -> None:
        say("terminated")
        sys.exit()

    if name == "web":
        signal.signal(signal.SIGUSR1, lambda number, frame: say("closing"))
        signal.signal(signal.SIGTERM, leave)
    lifeline.watch()
    mate = subprocess.Popen(SLEEP)
    stray = subprocess.Popen(SLEEP, start_new_session=True) if name == "cluster" else mate
    say(f"started {os.getpid()} {mate.pid} {stray.pid}")
    while not lifeline.wait(0.1):
        pass
    say("told")
    time.sleep(600)


class FakeWatch(threading.Thread):
    """Has the watch's face, and knows what the folder says."""

    failure = None

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._subject: object = None

    @property
    def is_ready(self) -> bool:
        return not (self._folder / "unready").exists()

    def turn_to(self, subject: object) -> None:
        self._subject = subject

    def note_restart(self, child: str) -> None:
        with (self._folder / "restarts").open("a") as file:
            file.write(f"{child}\n")

    def give_back(self) -> threading.Event:
        (self._folder / "given_back").touch()
        done = threading.Event()
        done.set()
        return done

    def run(self) -> None:
        while True:
            time.sleep(0.05)
            if hasattr(self._subject, "complaint") and (self._folder / "complaint").exists():
                (self._folder / "complaint").unlink()
                self._subject.complaint = "a test says so"
            if hasattr(self._subject, "is_quiet"):
                self._subject.is_quiet = (self._folder / "quiet").exists()


def main(folder: Path) -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    from tasks.engine.children import Child
    from tasks.engine.sources import Sources
    from tasks.engine.supervisor import Supervisor

    def child(name: str) -> Child:
        return Child(name, [sys.executable, "-m", __spec__.name, str(folder), name], {})

    def ready() -> None:
        if options.get("fails"):
            raise RuntimeError("an error of ours")
        sys.stdout.write("ready\n")
        sys.stdout.flush()

    options = json.loads((folder / "options.json").read_text())
    (folder / "code").mkdir()
    supervisor = Supervisor(
        FakeWatch(folder),
        web=child("web"),
        cluster=child("cluster"),
        sessions=1,
        grace=options["grace"],
        sources=Sources([folder / "code"]),
        on_ready=ready,
    )
    sys.stdout.write(f"{supervisor.run()}\n")


if __name__ == "__main__":
    here = Path(sys.argv[1])
    program(here, sys.argv[2]) if sys.argv[2:] else main(here)
