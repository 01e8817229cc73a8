"""A row that was read past the ORM says what the model's instance would say."""

from __future__ import annotations

import pytest

from tasks import tail
from tasks.models import TaskEvent
from tests.factories import make_task
from tests.tasks.pipelines.factories import make_pipeline, run


def all_of(event) -> dict:
    return {name: getattr(event, name) for name in tail.Row._fields}


def test_a_row_is_like_the_model(every_database):
    make_task("failed")
    make_task("completed")
    run(make_pipeline(), "extract")
    expected = [all_of(event) for event in TaskEvent.objects.order_by("id")]
    assert [row._asdict() for row in tail.rows(0, (), 500)] == expected
    assert {row["type"] for row in expected} > {"task_created", "task_updated", "PipelineStartEvent"}


def test_no_more_than_were_asked_for_and_none_left_out_between(every_database):
    make_task("completed")
    first, second, _ = [row.id for row in tail.rows(0, (), 3)]
    assert [row.id for row in tail.rows(0, (), 2)] == [first, second]
    assert [row.id for row in tail.rows(first, (), 1)] == [second]


@pytest.mark.postgres
def test_what_fills_holes_comes_first(on_postgres):
    for _ in range(4):
        make_task("completed")
    every = [row.id for row in tail.rows(0, (), 500)]
    holes = [(every[1], every[2]), (every[4], every[4])]
    assert [row.id for row in tail.rows(every[8], holes, 500)] == [every[n] for n in (1, 2, 4, 9, 10, 11)]
    assert [row.id for row in tail.rows(every[8], holes, 2)] == [every[1], every[2]]
    assert [row.id for row in tail.late_rows(holes, 500)] == [every[n] for n in (1, 2, 4)]
