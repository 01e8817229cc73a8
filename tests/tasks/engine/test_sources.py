"""Noticing that code has changed, and that it cannot be compiled."""

from __future__ import annotations

import os

import pytest

from tasks.engine import sources
from tasks.engine.sources import Sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "EACH", 0.0)
    (tmp_path / "app").mkdir()
    write(tmp_path / "app" / "handlers.py", "x = 1\n")
    return tmp_path


def write(path, text: str) -> None:
    """As an editor does, at a moment of its own."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def test_a_change_is_reported_once(folder):
    watched = Sources([folder])
    assert not watched.have_changed()
    write(folder / "app" / "handlers.py", "x = 2\n")
    assert watched.have_changed()
    assert not watched.have_changed()


def test_new_and_deleted_files_and_templates_are_changes(folder):
    watched = Sources([folder, folder / "missing"])
    write(folder / "app" / "models.py", "")
    assert watched.have_changed()
    (folder / "app" / "models.py").unlink()
    assert watched.have_changed()
    write(folder / "page.html", "<p>")
    assert watched.have_changed()


def test_other_files_are_none(folder):
    watched = Sources([folder])
    for name in ("data.sqlite3", ".hidden.py~", "notes.txt"):
        write(folder / name, "x")
    (folder / "__pycache__").mkdir()
    write(folder / "__pycache__" / "handlers.py", "x")
    assert not watched.have_changed()


@pytest.mark.parametrize(
    "broken", ["def (", "x = '\0'", "\ud83d".encode("utf-8", "surrogatepass").decode("latin-1") + "("]
)
def test_what_cannot_be_compiled_is_said_and_waited_for(folder, broken, caplog):
    watched = Sources([folder])
    write(folder / "app" / "handlers.py", broken)
    assert not watched.have_changed()
    assert "handlers.py" in caplog.text
    write(folder / "app" / "models.py", "y = 1\n")
    assert not watched.have_changed()  # the other file is still broken
    write(folder / "app" / "handlers.py", "x = 3\n")
    assert watched.have_changed()


def test_a_broken_file_that_is_deleted_is_mended(folder):
    watched = Sources([folder])
    write(folder / "app" / "handlers.py", "def (")
    assert not watched.have_changed()
    (folder / "app" / "handlers.py").unlink()
    assert watched.have_changed()


def test_it_looks_at_most_every_so_often(folder, monkeypatch):
    monkeypatch.setattr(sources, "EACH", 3600.0)
    watched = Sources([folder])
    assert not watched.have_changed()
    write(folder / "app" / "handlers.py", "x = 2\n")
    assert not watched.have_changed()
