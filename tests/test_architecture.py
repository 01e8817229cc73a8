"""The rules of the house that no linter knows. The order of imports is in pyproject.toml, for import-linter."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tasks

ROOT = Path(__file__).parents[1]
PACKAGES = ("taskhub", "tasks", "realtime", "demo", "clients")
MODULES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts and path.read_text().strip()
)
TESTED_ELSEWHERE = {  # module: the tests that would fail with it
    "tasks/apps.py": "tasks/test_apps.py",
    "realtime/apps.py": "realtime/test_consumers.py",
    "demo/apps.py": "demo/test_handlers.py",
    "demo/urls.py": "demo/test_receiver.py",
    "tasks/models/pipelines.py": "tasks/pipelines/test_advance.py",
    "tasks/pipelines/round.py": "tasks/pipelines/test_advance.py",
    "realtime/groups.py": "realtime/test_receivers.py",
    "tasks/signals.py": "tasks/test_events.py",
    "tasks/callbacks/answer.py": "tasks/callbacks/test_request.py",
    "tasks/api/authentication.py": "tasks/api/test_routes.py",
    "tasks/api/permissions.py": "tasks/api/test_routes.py",
    "tasks/api/endpoint.py": "tasks/api/test_limits.py",
    "tasks/api/throttling.py": "tasks/api/test_limits.py",
    "tasks/api/encoding.py": "tasks/api/test_submitting.py",
    "tasks/api/pages.py": "tasks/api/test_list.py",
    "tasks/api/queries.py": "tasks/api/test_list.py",
    "tasks/api/examples.py": "tasks/api/test_schema.py",
}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}
WRITING = {"update", "aupdate", "bulk_update", "bulk_create", "create", "update_or_create", "get_or_create", "save"}
PLACES = re.compile(r"\bTask\.objects\b|\btasks?(\.objects)?$")  # what such a call is made on


def each(modules: list[Path]):
    return pytest.mark.parametrize("module", modules, ids=str)


def calls(module: Path) -> Iterator[tuple[str, str]]:
    """(what it is called on, name) of each method call in the module."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr


@each(MODULES)
def test_a_module_says_what_lives_there(module):
    if module.name != "apps.py":
        assert ast.get_docstring(ast.parse((ROOT / module).read_text())), f"{module} has no docstring"


@each([module for module in MODULES if module.name != "__init__.py"])
def test_a_module_has_a_twin_among_the_tests(module):
    twin = TESTED_ELSEWHERE.get(str(module), f"{module.parts[0]}/**/test_{module.stem.replace('-', '_')}.py")
    assert list((ROOT / "tests").glob(twin)), f"{module} has no {twin}"


def test_no_excuse_outlives_its_module():
    assert {str(module) for module in MODULES} >= set(TESTED_ELSEWHERE)


@each(MODULES)
def test_a_module_is_named_after_what_it_is_about(module):
    assert module.stem not in VAGUE


@each([module for module in MODULES if str(module) != "tasks/lifecycle.py"])
def test_only_the_lifecycle_writes_tasks(module):
    written = [f"{place}.{name}()" for place, name in calls(module) if name in WRITING and PLACES.search(place)]
    assert not written, f"{module}: {written}"


@each([module for module in MODULES if str(module) != "tasks/lifecycle.py"])
def test_nobody_sets_a_state_in_passing(module):
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else []
        assert not [target for target in targets if re.fullmatch(r"(self\.)?task\.status", ast.unparse(target))]


@each(MODULES)
def test_the_log_is_written_by_its_own_module(module):
    if str(module) not in ("tasks/events.py", "tasks/lifecycle.py"):
        places = [place for place, name in calls(module) if name in WRITING and "TaskEvent.objects" in place]
        assert not places


@each([module for module in MODULES if "commands" not in module.parts])
def test_nobody_prints(module):
    tree = ast.parse((ROOT / module).read_text())
    names = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert "print" not in names


def test_the_docstring_of_tasks_names_each_of_its_parts():
    parts = {
        path.stem for path in (ROOT / "tasks").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    named = set(re.findall(r"[a-z_]+", tasks.__doc__ or ""))
    assert parts - named == {"__init__", "apps", "migrations"} & parts


def test_the_python_client_is_a_package_of_its_own():
    """It is installed where there is no hub: it needs what its pyproject.toml names, and nothing else."""
    allowed = {"taskhub_client", "httpx", "websockets", "__future__", *sys.stdlib_module_names}
    for module in (ROOT / "clients/python/src").rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, module


def test_the_contracts_of_imports_are_kept():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
