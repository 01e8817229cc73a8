"""What may be submitted as a pipeline. One that passes can run to its end, as far as that shows before results exist.

Every error names its place: `steps[2].depends_on[0]`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from tasks.documents import check_document
from tasks.exceptions import FieldError, InvalidTask, TooLarge
from tasks.models import Pipeline, Step
from tasks.pipelines.graph import ancestors, circle
from tasks.pipelines.references import RESULT, Reference, fill, needed, references
from tasks.pipelines.template import refusal, template_of
from tasks.registry import Handler
from tasks.submission import TASK_LIMIT, Name, NewTask, build, convert

T = TypeVar("T")

STEPS_LIMIT = 200
Types = Pipeline.Types


class NewStep(NewTask, forbid_unknown_fields=True, kw_only=True):
    """A step: a task whose handler is called `handler`, since `name` is the step's own.

    Anywhere in `payload`, {"$result": "a step"} stands for the result of a step that this one depends on, and
    {"$input": true} for the pipeline's input. `delay` counts from when the steps that it depends on are complete.
    """

    name: Name
    handler: Name | None = None
    depends_on: list[Name] = []


class Outline(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A pipeline without a look at its steps, which are checked one by one to name what is wrong in each."""

    name: Name
    steps: Annotated[list[Any], Meta(min_length=1, max_length=STEPS_LIMIT)]
    input: Any = None
    pipeline_type: Literal["sequential", "parallel", "dag"] = "sequential"


class NewPipeline(Outline, kw_only=True):
    """Up to 200 steps. In a sequential pipeline each depends on the one before, too; in a parallel one on none."""

    steps: Annotated[list[NewStep], Meta(min_length=1, max_length=STEPS_LIMIT)]


def define(request: Any, owner: Any = None) -> tuple[Pipeline, list[Step]]:
    """The unsaved rows that `request`, decoded JSON, asks for. Raises `InvalidTask` naming every wrong field."""
    check_document(request)
    new = convert(request, Outline)
    _check_input(new.input)
    steps = _each(new.steps, lambda index, step: convert(step, NewStep))
    graph = _graph(new.pipeline_type, steps)
    _check_references(steps, graph)
    templates = _each(steps, lambda index, step: _template(new.steps[index], step, new.input))
    pipeline = Pipeline(
        name=new.name, pipeline_type=new.pipeline_type, input=new.input, owner=owner, total_steps=len(steps)
    )
    rows = [
        Step(pipeline=pipeline, index=index, name=step.name, depends_on=graph[step.name], template=templates[index])
        for index, step in enumerate(steps)
    ]
    return pipeline, rows


def _check_input(value: Any) -> None:
    if len(msgspec.json.encode(value)) > TASK_LIMIT:
        raise TooLarge(FieldError("input", f"The input is larger than {TASK_LIMIT // 1024} KiB."))


def _each(items: Iterable[Any], make: Callable[[int, Any], T]) -> list[T]:
    """What `make` makes of each; errors are named `steps[3].payload`."""
    made, errors = [], []
    for index, item in enumerate(items):
        try:
            made.append(make(index, item))
        except InvalidTask as invalid:
            errors += [error.under(f"steps[{index}]") for error in invalid.errors]
    if errors:
        raise InvalidTask(*errors)
    return made


# -- dependencies --------------------------------------------------------------------------------------------------


def _graph(pipeline_type: str, steps: list[NewStep]) -> dict[str, list[str]]:
    if errors := [*_misnamed(steps)] or [*_unknown(pipeline_type, steps)]:
        raise InvalidTask(*errors)
    graph = {step.name: list(step.depends_on) for step in steps}
    if pipeline_type == Types.SEQUENTIAL:
        for before, step in pairwise(steps):
            graph[step.name].append(before.name)
    if closed := circle(graph):
        raise InvalidTask(*_of_circle(closed, steps, pipeline_type))
    return {name: list(dict.fromkeys(befores)) for name, befores in graph.items()}


def _misnamed(steps: list[NewStep]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in seen:
            yield FieldError(f"steps[{index}].name", f"There is a step called {step.name!r} already.")
        seen.add(step.name)


def _unknown(pipeline_type: str, steps: list[NewStep]) -> Iterator[FieldError]:
    names = {step.name for step in steps}
    for index, step in enumerate(steps):
        if step.depends_on and pipeline_type == Types.PARALLEL:
            message = "In a parallel pipeline no step depends on another; let pipeline_type be dag."
            yield FieldError(f"steps[{index}].depends_on", message)
            continue
        for place, before in enumerate(step.depends_on):
            if before not in names:
                yield FieldError(f"steps[{index}].depends_on[{place}]", f"There is no step called {before!r}.")


def _of_circle(closed: list[str], steps: list[NewStep], pipeline_type: str) -> Iterator[FieldError]:
    """Each dependency that is written down and is part of the circle."""
    way = " needs ".join([*reversed(closed), closed[-1]])
    hint = " A sequential pipeline keeps to the order of its steps." if pipeline_type == Types.SEQUENTIAL else ""
    part = set(pairwise([closed[-1], *closed]))
    for index, step in enumerate(steps):
        for place, before in enumerate(step.depends_on):
            if (before, step.name) in part:
                message = f"The steps wait for each other: {way}.{hint}"
                yield FieldError(f"steps[{index}].depends_on[{place}]", message)


# -- references ----------------------------------------------------------------------------------------------------


def _check_references(steps: list[NewStep], graph: Mapping[str, list[str]]) -> None:
    before = ancestors(graph)
    _each(steps, lambda index, step: _check_places(references(step.payload), graph, before[step.name]))


def _check_places(places: Iterable[Reference], graph: Mapping[str, list[str]], before: set[str]) -> None:
    for place in places:
        if place.step is None or place.step in before:
            continue
        if place.step not in graph:
            raise InvalidTask(FieldError(place.path, f"There is no step called {place.step!r}."))
        raise InvalidTask(FieldError(place.path, f"This step does not depend on {place.step!r}: add it to depends_on."))


# -- the tasks to be -----------------------------------------------------------------------------------------------


def _template(raw: Mapping[str, Any], step: NewStep, input: Any) -> dict[str, Any]:
    """Checked as any task is, with the input put in; what depends on results is checked when they are there."""
    if not needed(step.payload) and (reason := refusal(fill(step.payload, {}, input))):
        raise InvalidTask(FieldError("payload", reason))
    request = {key: value for key, value in raw.items() if key not in ("name", "handler", "depends_on")}
    try:
        task = build(request | {"name": step.handler}, fits=lambda handler, payload: _check(handler, payload, input))
    except InvalidTask as invalid:
        raise InvalidTask(*(_renamed(error) for error in invalid.errors)) from None
    return template_of(task, step.delay)


def _renamed(error: FieldError) -> FieldError:
    return FieldError("handler", error.message) if error.field == "name" else error


def _check(handler: Handler, payload: dict[str, Any], input: Any) -> None:
    """Whether `payload` can bind, whatever the results will be. Raises `InvalidTask`."""
    if not needed(payload):
        handler.bind(fill(payload, {}, input))
    elif RESULT not in payload:
        open = {name for name, value in payload.items() if needed(value)}
        _without(handler, open).bind(fill({k: v for k, v in payload.items() if k not in open}, {}, input))


def _without(handler: Handler, names: set[str]) -> Handler:
    """A handler that takes the other arguments only. Raises `InvalidTask` for a name that it doesn't have."""
    fields = msgspec.structs.fields(handler.arguments)
    if unknown := sorted(names - {field.name for field in fields}):
        raise InvalidTask(FieldError(f"payload.{unknown[0]}", "The handler has no such argument."))
    kept = [
        (field.name, field.type) if field.required else (field.name, field.type, None)
        for field in fields
        if field.name not in names
    ]
    arguments = msgspec.defstruct(handler.name, kept, kw_only=True, forbid_unknown_fields=True)
    return dataclasses.replace(handler, arguments=arguments)
