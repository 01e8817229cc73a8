"""In development the parts start anew when the code changes; what is broken is said, and what runs goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Hub
from tests.processes import until

pytestmark = pytest.mark.processes
HANDLER = """
from tasks import handler

@handler("shop.answer")
def answer(ctx):
    return {answer!r}
"""


@pytest.fixture
def app(tmp_path) -> Path:
    app = tmp_path / "shop"
    app.mkdir()
    (app / "__init__.py").touch()
    return app


@pytest.fixture
def hub(app, tmp_path) -> Iterator[Hub]:
    write(app, HANDLER.format(answer="old"))
    (tmp_path / "data").mkdir()
    hub = Hub(tmp_path / "data", PYTHONPATH=str(tmp_path), TASKHUB_APPS="shop")
    hub.start()
    yield hub
    hub.stop()


def write(app: Path, code: str) -> None:
    (app / "handlers.py").write_text(code)


def answer(hub: Hub) -> str:
    return hub.reaches(hub.submit(name="shop.answer")["id"], "completed")["result"]


def log(hub: Hub) -> str:
    return hub.log.read_text()


def test_workers_run_the_code_as_it_is_now(app, hub):
    assert answer(hub) == "old"

    write(app, "def (\n")
    until(lambda: "handlers.py: invalid syntax" in log(hub), "a word about the syntax")
    assert answer(hub) == "old"

    write(app, "import no_such_module\n")
    until(lambda: log(hub).count("waiting for the next change of the code") >= 2, "both parts to give up")

    write(app, HANDLER.format(answer="new"))
    until(lambda: answer(hub) == "new", "the new code")
    assert hub.request("GET", "/readyz")[0] == 200
