"""The script that runs a pipeline and watches it to its end."""

from __future__ import annotations

import pytest

from examples import watch_pipeline

pytestmark = [pytest.mark.processes, pytest.mark.usefixtures("environment")]


def test_it_tells_the_whole_story(capsys):
    assert watch_pipeline.main() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("  ")]
    assert [line.split()[0] for line in lines] == [
        "PipelineStartEvent", "report", "report", "send", "send", "thank", "thank", "complete",
    ]  # fmt: skip
    assert "'pages': 5" in lines[2]
    assert "{'attempts': 3}" in lines[4]
    assert lines[-1].endswith("{'greeting': 'Hello, 2026-11!'}")


def test_it_ends_when_the_pipeline_fails(capsys, monkeypatch):
    steps = [watch_pipeline.STEPS[2], {"name": "charge", "handler": "demo.broken"}]
    monkeypatch.setattr(watch_pipeline, "STEPS", steps)
    assert watch_pipeline.main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "failed: The account has been closed."
