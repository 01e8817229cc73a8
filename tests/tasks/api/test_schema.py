"""The OpenAPI document: valid, complete, and true of the types that the code runs on."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest

from tasks.api import examples, schema
from tasks.api.documents import document
from tests.tasks.api.test_routes import ALL

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def paths():
    return document()["paths"]


def operations(paths):
    return [(method, path, item[method]) for path, item in paths.items() for method in METHODS if method in item]


def resolve(node):
    """A schema with the components that it refers to."""
    return node | {"components": document()["components"]}


def test_it_is_openapi_3_1():
    assert document()["openapi"].startswith("3.1")


def test_each_method_of_each_view_is_there(paths):
    views = {route: getattr(pattern.callback, "view_class", None) for route, pattern in ALL}
    needs = {f"/{route}": view.needs for route, view in views.items() if hasattr(view, "needs")}
    documented = {path: {method.upper() for method in item if method in METHODS} for path, item in paths.items()}
    expected = {
        route.replace("<uuid:id>", "{id}").replace("<str:name>", "{name}"): set(n) for route, n in needs.items()
    }
    assert documented == {path: n for path, n in expected.items() if path not in ("/api/v1/schema", "/api/v1/docs")}


def test_each_operation_has_a_name_a_summary_and_what_may_go_wrong(paths):
    names = [operation["operationId"] for _, _, operation in operations(paths)]
    assert len(set(names)) == len(names)
    for method, path, operation in operations(paths):
        assert operation["summary"], path
        if path.startswith("/api/v1/") and operation.get("security"):
            assert {"401", "403", "429", "503"} <= operation["responses"].keys(), (method, path)
        if "{id}" in path:
            assert "404" in operation["responses"], (method, path)
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= operation["responses"].keys(), (method, path)


def test_each_body_and_answer_has_an_example_of_its_type(paths):
    for _, _, operation in operations(paths):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for message in [*bodies, *operation["responses"].values()]:
            for kind, content in message.get("content", {}).items():
                if kind == "text/plain":
                    continue
                (example,) = content["examples"].values()
                jsonschema.validate(example["value"], resolve(content["schema"]), jsonschema.Draft202012Validator)


def test_no_example_is_left_over():
    assert examples.EXAMPLES.keys() == schema._shapes.keys()


def test_examples_of_bodies_are_accepted(operator):
    body = examples.of("NewTask") | {"name": "test.echo", "payload": {}}
    assert operator.post("/tasks", body).status_code == 201
    steps = [step | {"handler": "test.echo", "payload": {}} for step in examples.of("NewPipeline")["steps"]]
    assert operator.post("/pipelines", examples.of("NewPipeline") | {"steps": steps}).status_code == 201
    assert operator.post("/tokens", examples.of("NewToken")).status_code == 201


def test_references_lead_somewhere():
    text = msgspec.json.encode(document()).decode()
    used = {part.partition('"')[0] for part in text.split(schema.REFERENCE)[1:]}
    assert used <= document()["components"]["schemas"].keys()
    assert r"\\Z" not in text


def test_the_page_brings_everything_itself(viewer):
    page = viewer.get("/docs").content.decode()
    assert "//" not in page.replace("<!doctype", "")
    assert "<script>" not in page
    assert 'data-schema="/api/v1/schema"' in page
    assert viewer.get("/schema").json()["info"]["title"] == "TaskHub"
