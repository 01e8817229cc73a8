"""The client's pages are true: their examples run, against a real hub."""

from __future__ import annotations

import pytest

from tests.test_docs import OF_CLIENTS, blocks, name_of

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("path", OF_CLIENTS, ids=name_of)
def test_the_examples_run(path, hub, monkeypatch):
    """All blocks of a page, one after the other."""
    monkeypatch.setenv("TASKHUB_TOKEN", hub.token)
    names: dict[str, object] = {"__name__": "docs"}
    for code in blocks(path, "python"):
        code = code.replace("http://localhost:8000", f"http://127.0.0.1:{hub.port}")
        exec(compile(code, str(path), "exec"), names)
