"""What can be a handler, and which payloads fit one. No database."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from tasks import registry
from tasks.exceptions import InvalidTask
from tasks.registry import handler


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """What a test registers, no other test finds."""
    monkeypatch.setattr(registry, "_handlers", {})


@dataclasses.dataclass
class Page:
    number: int


def bind(name: str, **payload: Any) -> dict[str, Any]:
    return registry.find(name).bind(payload)


def wrong_field(name: str, **payload: Any) -> str:
    with pytest.raises(InvalidTask) as raised:
        bind(name, **payload)
    (error,) = raised.value.errors
    assert error.message.endswith(".")
    return error.field


def test_a_handler_is_found_with_what_it_was_registered_with():
    @handler("reports.build", queue="reports", max_attempts=5, timeout=60)
    def build(ctx, month: str):
        """Build the report of a month.

        More about it.
        """

    found = registry.find("reports.build")
    assert (found.function, found.queue, found.max_attempts, found.timeout) == (build, "reports", 5, 60)
    assert found.summary == "Build the report of a month."
    assert not found.is_async
    assert registry.handlers() == [found]


def test_an_async_function_is_known_as_one():
    @handler("a")
    async def a(ctx): ...

    assert registry.find("a").is_async
    assert registry.find("a").summary == ""


def test_an_unknown_handler_is_an_error_that_lists_the_known_ones():
    handler("b")(lambda ctx: None)
    with pytest.raises(InvalidTask, match=r"no handler 'a'\. Registered: b") as raised:
        registry.find("a")
    assert raised.value.errors[0].field == "name"


@pytest.mark.parametrize("name", ["a", "A-Za.z0_9", "1", "x" * 100])
def test_names_that_are_allowed(name):
    handler(name, queue=name)(lambda ctx: None)
    assert registry.find(name).queue == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "a\n", "x" * 101, "callback"])
def test_names_that_are_not(name):
    with pytest.raises(ValueError, match="cannot be the name"):
        handler(name)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"queue": "a b"}, "cannot be the queue"),
        ({"queue": ""}, "cannot be the queue"),
        ({"max_attempts": 0}, "max_attempts of 'a' is 0"),
        ({"max_attempts": 1001}, "max_attempts of 'a' is 1001"),
        ({"timeout": 0}, "timeout of 'a' is 0"),
        ({"timeout": -1}, "timeout of 'a' is -1"),
        ({"timeout": 86_401}, "timeout of 'a' is 86401"),
        ({"timeout": float("nan")}, "timeout of 'a' is nan"),
    ],
)
def test_options_under_which_nothing_could_run_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        handler("a", **options)


def test_options_at_their_limits():
    handler("a", max_attempts=1, timeout=0.001)(lambda ctx: None)
    handler("b", max_attempts=1000, timeout=86_400)(lambda ctx: None)


def test_two_functions_cannot_share_a_name():
    def one(ctx): ...
    def other(ctx): ...

    handler("a")(one)
    with pytest.raises(ValueError, match=r"'a' is the handler .*one already"):
        handler("a")(other)


def test_the_same_function_may_come_again_as_after_a_reload():
    def one(ctx): ...

    handler("a", queue="x")(one)
    handler("a", queue="y")(one)
    assert registry.find("a").queue == "y"


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda ctx, *rest: None,
        lambda ctx, **rest: None,
    ],
)
def test_a_signature_that_cannot_be_checked_is_refused(function):
    with pytest.raises(ValueError, match="handler 'a'"):
        handler("a")(function)


def test_positional_only_arguments_are_refused():
    def positional(ctx, month, /): ...

    with pytest.raises(ValueError, match="must name its arguments: month"):
        handler("a")(positional)


@pytest.mark.parametrize("hint", [complex, dt.date | str, type("Own", (), {})])
def test_an_annotation_that_no_json_can_fill_is_refused_at_registration(hint):
    def function(ctx, value): ...

    function.__annotations__ = {"value": hint}
    with pytest.raises(ValueError, match="'a' has an argument that JSON cannot fill"):
        handler("a")(function)


def test_a_payload_binds_and_its_values_get_the_annotated_types():
    @handler("a")
    def a(
        ctx,
        month: dt.date,
        page: Page,
        price: decimal.Decimal,
        kind: Literal["long", "short"] = "long",
        ids: dict[int, list[float]] | None = None,
        *,
        dry: bool = False,
    ): ...

    assert bind("a", month="2026-11-01", page={"number": 3}, price="1.10", ids={"7": [1]}) == {
        "month": dt.date(2026, 11, 1),
        "page": Page(3),
        "price": decimal.Decimal("1.10"),
        "kind": "long",
        "ids": {7: [1.0]},
        "dry": False,
    }


def test_what_has_no_annotation_takes_any_json():
    @handler("a")
    def a(ctx, value, other=None): ...

    assert bind("a", value=[1, "x", None]) == {"value": [1, "x", None], "other": None}


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "payload.month"),
        ({"month": 11}, "payload.month"),
        ({"month": None}, "payload.month"),
        ({"month": "nov"}, "payload.month"),
        ({"month": "2026-11", "pages": [{"number": 1}, {"number": "x"}]}, "payload.pages[1].number"),
        ({"month": "2026-11", "pages": [{}]}, "payload.pages[0].number"),
        ({"month": "2026-11", "pages": {}}, "payload.pages"),
        ({"month": "2026-11", "moth": 1}, "payload.moth"),
        ({"month": "2026-11", "ctx": 1}, "payload.ctx"),
        ({"month": "2026-11", "dry": 1}, "payload.dry"),
        ({"month": "2026-11", "dry": "true"}, "payload.dry"),
    ],
)
def test_a_payload_that_does_not_bind_names_the_place(payload, field):
    @handler("a")
    def a(ctx, month: Annotated[str, Meta(min_length=7)], pages: list[Page] = [], dry: bool = False): ...  # noqa: B006

    assert wrong_field("a", **payload) == field


@pytest.mark.parametrize("default", [[1], {"a": 1}, {1}, Page(1)])
def test_a_handler_that_changes_its_default_changes_it_for_no_other_task(default):
    def a(ctx, value: Any = default): ...

    handler("a")(a)
    first, second = bind("a")["value"], bind("a")["value"]
    assert first == second == default
    assert first is not second
    assert first is not default


def test_arguments_are_a_struct_from_which_a_schema_can_be_made():
    @handler("a")
    def a(ctx, month: str): ...

    schema = msgspec.json.schema(registry.find("a").arguments)
    assert schema["$defs"]["a"]["required"] == ["month"]
