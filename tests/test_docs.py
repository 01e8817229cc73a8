"""The documentation is true as far as a program can tell: links lead somewhere, code runs, tables say what there is."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import msgspec
import pytest
from django.core.management import get_commands

from demo import handlers, signature
from realtime import messages
from tasks import groups, registry, submission
from tasks.api.urls import urlpatterns
from tasks.models import Task, TaskEvent, Token
from tasks.representation import TaskJSON
from tasks.signals import task_changed
from tasks.testing import run_pending

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("clients/*/*.md"), *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")


def page(name: str) -> str:
    return (DOCS / name).read_text()


def blocks(path: Path, language: str) -> list[str]:
    return [code for found, code in FENCE.findall(path.read_text()) if found == language]


def with_blocks(language: str) -> list[Path]:
    return [path for path in PAGES if blocks(path, language)]


OF_CLIENTS = [
    path for path in PAGES if any("taskhub_client" in code for code in blocks(path, "python"))
]  # they need a hub


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# -- links ---------------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for match in LINK.finditer(FENCE.sub("", path.read_text())):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if "://" in target:
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(there), f"{target} has no #{anchor}"


def test_every_page_can_be_reached_from_the_index():
    seen: set[Path] = set()
    todo = [DOCS / "README.md"]
    while todo:
        path = todo.pop()
        seen.add(path)
        targets = (match[1].partition("#")[0] for match in LINK.finditer(path.read_text()) if match[1])
        found = {(path.parent / target).resolve() for target in targets if target.endswith(".md")}
        todo += found - seen
    assert {path for path in PAGES if path.is_relative_to(DOCS)} <= seen


# -- code ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def apart(monkeypatch):
    """What a page registers or listens to stays on the page; the demo's work takes no time."""
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))
    monkeypatch.setattr(task_changed, "receivers", list(task_changed.receivers))
    monkeypatch.setattr(handlers, "time", SimpleNamespace(sleep=lambda seconds: None))
    task_changed.sender_receivers_cache.clear()
    yield
    task_changed.sender_receivers_cache.clear()


@pytest.mark.django_db
@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("path", [path for path in with_blocks("python") if path not in OF_CLIENTS], ids=name_of)
def test_python_runs(path):
    """All blocks of a page, one after the other; then the tests that they define, and the tasks that they submit."""
    names: dict[str, object] = {"__name__": "docs"}
    for code in blocks(path, "python"):
        exec(compile(code, str(path), "exec"), names)
    for name in [name for name in names if name.startswith("test_")]:
        names[name]()  # type: ignore[operator]
    assert {task.status for task in run_pending()} <= {"completed"}


def test_the_receivers_check_is_the_one_that_is_tested():
    (documented, *_) = blocks(DOCS / "howto" / "receive-a-callback.md", "python")
    ours = Path(signature.__file__).read_text()
    shown = documented[documented.index("TOLERANCE") :]
    assert shown == ours[ours.index("TOLERANCE") :]


@pytest.mark.parametrize("path", with_blocks("js"), ids=name_of)
def test_javascript_can_be_parsed(path, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    for number, code in enumerate(blocks(path, "js")):
        module = tmp_path / f"{number}.mjs"
        module.write_text(code)
        done = subprocess.run([node, "--check", module], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def requests() -> Iterator[tuple[str, str, str]]:
    """(page, address, body) of each curl."""
    for path in with_blocks("sh"):
        for code in blocks(path, "sh"):
            for command in re.findall(r"^curl (?:.|\\\n|\n(?= ))*", code, re.MULTILINE):
                address = re.search(r"(?:\$HUB|localhost:8000)(/[^\s\"?]*)", command)
                body = re.search(r"-d '([^']*)'", command)
                assert address, command
                yield name_of(path), address[1], body[1] if body else ""


@pytest.mark.django_db
@pytest.mark.usefixtures("apart")
def test_curls_ask_for_what_there_is():
    exec("\n".join(blocks(DOCS / "tutorial" / "2-first-handler.md", "python")), {"__name__": "docs"})
    found = list(requests())
    assert len(found) >= 7
    for where, address, body in found:
        assert any(re.fullmatch(pattern, address.lstrip("/")) for pattern in routes().values()), f"{where}: {address}"
        if address == "/api/v1/tasks" and body:
            submission.build(json.loads(body))


def routes() -> dict[str, str]:
    """Each route as the reference writes it, and as a pattern; with the demo's."""
    written = {str(pattern.pattern) for pattern in urlpatterns} | {"demo/receiver"}
    return {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route): re.sub(r"<\w+:\w+>", r"[^/]+", route) for route in written}


# -- tables --------------------------------------------------------------------------------------------------------


def first_column(text: str) -> list[str]:
    """What is in backticks in the first cell of each row."""
    return [name for cell in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", cell)]


def test_the_settings_are_those_that_are_read():
    tree = ast.parse((ROOT / "taskhub" / "settings.py").read_text())
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env.")
    ]
    arguments = [node.args[0].value for node in calls if node.args and isinstance(node.args[0], ast.Constant)]
    read = {name for name in arguments if re.fullmatch(r"[A-Z_]+", str(name))}
    assert set(first_column(page("reference/settings.md"))) == read


def test_the_routes_are_those_of_the_api():
    shown = [""]
    for cell in re.findall(r"^\|([^|]*)\|", page("reference/rest-api.md"), re.MULTILINE):
        for route in re.findall(r"`(?:(?:GET|POST|DELETE) )?(/[^\s`?]*)", cell):
            is_whole = route.startswith(("/api/", "/healthz", "/readyz", "/metrics"))
            shown.append(route if is_whole else shown[-1].rpartition("/")[0] + route)  # else a sibling of the last
    assert set(shown) - {""} == set(routes()) - {"/demo/receiver"}


def test_the_task_has_the_fields_that_are_listed():
    text = page("reference/rest-api.md").partition("## The task")[2].partition("`started_at` is")[0]
    listed = re.sub(r"\{[^}]*\}", "", text).replace("| null", "").replace(":", "")
    assert re.findall(r"[a-z_]+", listed) == list(get_type_hints(TaskJSON))


def test_the_fields_of_a_submission_are_listed():
    text = page("reference/rest-api.md").partition("## Submitting")[2].partition("A task has at most")[0]
    assert set(first_column(text)) == set(submission.NewTask.__struct_fields__)


def is_frame(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing.__struct_config__.tag is not None


@pytest.mark.parametrize(
    "frame",
    [frame for frame in vars(messages).values() if is_frame(frame)],
    ids=lambda frame: frame.__struct_config__.tag,
)
def test_the_frames_of_the_stream_have_the_fields_that_are_listed(frame):
    tag = frame.__struct_config__.tag
    (row,) = re.findall(rf"^\| `{tag}` \|(.*)\|$", page("reference/websocket.md"), re.MULTILINE)
    listed = set(re.findall(r"`([a-z_]+)(?::[^`]*)?`", row))
    assert listed == set(frame.__struct_fields__) - {"timestamp"}


def test_the_checks_are_those_in_the_code():
    sources = [ROOT / "tasks" / "checks.py", ROOT / "realtime" / "checks.py"]
    ids = {id for path in sources if path.exists() for id in re.findall(r'id="([\w.]+)"', path.read_text())}
    assert set(first_column(page("reference/checks.md"))) == ids


def test_the_commands_are_those_that_exist():
    text = page("reference/commands.md")
    ours = {name for name, app in get_commands().items() if app in ("tasks", "demo", "realtime")}
    assert set(re.findall(r"^\| `manage\.py ([\w-]+)", text, re.MULTILINE)) == ours
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    assert set(re.findall(r"`make ([a-z]+)`", text)) == targets


def test_the_permissions_and_scopes_are_those_that_are_checked():
    text = page("reference/permissions.md")
    ours = {f"tasks.{name}" for name, _ in Task._meta.permissions}
    assert {name for name in first_column(text) if name.startswith("tasks.")} == ours
    assert set(Token.Scopes.values) <= set(first_column(text))


def test_the_groups_have_the_permissions_that_are_listed():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", page("reference/permissions.md"), re.MULTILINE))
    listed = {name: set(re.findall(r"`(\w+)`", rows[name])) for name in groups.GROUPS}
    viewer, submitter = listed["viewer"], listed["submitter"]
    assert {"viewer": viewer, "submitter": submitter, "operator": listed["operator"] | viewer | submitter} == {
        name: permissions for name, permissions in groups.GROUPS.items() if permissions is not None
    }


def test_the_events_are_those_of_the_log():
    table = page("reference/events.md").partition("Every event carries")[0]
    assert set(first_column(table)) == set(TaskEvent.Types.values)


# -- guarantees ----------------------------------------------------------------------------------------------------


def test_every_guarantee_names_a_test_that_there_is():
    rows = re.findall(r"^\| (?!guarantee|---)(.+?) \| (.+?) \|$", page("explanation/guarantees.md"), re.MULTILINE)
    assert len(rows) >= 20
    for guarantee, proof in rows:
        tests = re.findall(r"`([\w/]+\.(?:py|mjs))(?:::(\w+))?`", proof)
        assert tests, f"nothing proves: {guarantee}"
        for path, name in tests:
            source = (ROOT / "tests" / path).read_text()
            assert not name or re.search(rf"def {name}\b", source), f"{path} has no {name}"
