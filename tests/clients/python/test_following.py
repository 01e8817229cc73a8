"""The script of the stream: where it goes on after each kind of end, and what it tells."""

from __future__ import annotations

import pytest

from realtime import limits
from taskhub_client import APIError, InvalidRequest, NotFound, Unauthenticated, following
from taskhub_client.effects import Lost, Unreachable
from taskhub_client.following import Following, Recent
from tests.clients.python.stage import HEAD, Stage, answer, hello, page, subscribed, updated

QUEUE = {"queue": "*"}
CUT = Lost(1006)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Time passes by resting only, and every pause is one second."""
    now = [0.0]
    monkeypatch.setattr(following, "backoff", lambda failures: 1.0)
    monkeypatch.setattr(following.time, "monotonic", lambda: now.__setitem__(0, now[0] + 0.4) or now[0])


def ids(stage):
    return [event["event_id"] for event in stage.told if isinstance(event, dict) and "event_id" in event]


def refused(stage):
    """What was refused, with the reason."""
    return [(error.subscription, str(error)) for error in stage.told if isinstance(error, APIError)]


def test_it_begins_at_the_head_of_the_log(clock):
    stage = Stage(hello(), subscribed(queue="*"), answers=[page()])
    stage.play(Following([QUEUE]).run())
    assert [(ask.path, ask.params["since"]) for ask in stage.asked] == [("/events", "now")]
    assert stage.said == [{"type": "subscribe", "batch": True, "queue": "*", "since": HEAD}]


def test_after_a_cut_it_goes_on_from_the_last_event_and_tells_none_twice():
    stage = Stage(
        hello(), subscribed(), updated(1), updated(2), CUT,
        hello(), subscribed(), {"type": "batch", "events": [updated(2), updated(3)]},
    )  # fmt: skip
    stage.play(Following([QUEUE], "c0").run())
    assert [said["since"] for said in stage.said] == ["c0", "c2"]
    assert ids(stage) == ["t1:1", "t1:2", "t1:3"]


def test_an_event_before_the_last_subscription_is_granted_does_not_move_the_cursor():
    """Else what that subscription has missed would be lost with the socket."""
    stage = Stage(hello(), subscribed(queue="a"), updated(7), CUT, hello(), subscribed(), subscribed(), updated(8))
    at = Following([{"queue": "a"}, {"queue": "b"}], "c0")
    stage.play(at.run())
    assert [said["since"] for said in stage.said] == ["c0"] * 4
    assert at.cursor == "c8"


def test_many_subscriptions_are_asked_for_no_faster_than_the_hub_listens():
    stage = Stage(hello())
    stage.play(Following([{"queue": f"q{number}"} for number in range(100)], "c0").run())
    assert len(stage.said) == 100
    assert stage.rested == [limits.WINDOW_S] * 6
    assert following.BURST < limits.FRAMES


def test_a_heartbeat_moves_the_cursor():
    at = Following([QUEUE], "c0")
    Stage(hello(), subscribed(), {"type": "heartbeat", "cursor": "c9"}).play(at.run())
    assert at.cursor == "c9"


def test_frames_between_the_two_ends_are_told_to_nobody():
    stage = Stage(hello(), subscribed(), {"type": "pong"}, {"type": "heartbeat", "cursor": "c"})
    stage.play(Following([QUEUE], "c0").run())
    assert stage.told == []


def test_a_hub_that_gave_up_on_a_slow_client_is_asked_again_from_the_cursor():
    stage = Stage(hello(), subscribed(), updated(1), {"type": "resync", "reason": "too_slow"}, hello(), subscribed())
    stage.play(Following([QUEUE], "c0").run())
    assert [said["since"] for said in stage.said] == ["c0", "c1"]
    assert [event["type"] for event in stage.told] == ["task_updated"]


def test_a_log_that_no_longer_goes_back_so_far_is_a_resync():
    at = Following([QUEUE], "ancient")
    stage = Stage(hello(), subscribed(recovered=False, cursor="c5"), CUT, hello())
    stage.play(at.run())
    assert stage.told == [{"type": "resync", "reason": "not_recovered"}]
    assert stage.said[-1]["since"] == "c5"


def test_after_a_resync_versions_may_begin_anew():
    """A backup was restored: the same version of the same task is another event now."""
    stage = Stage(hello(), subscribed(), updated(1), CUT, hello(), subscribed(recovered=False), updated(1))
    stage.play(Following([QUEUE], "c0").run())
    assert ids(stage) == ["t1:1", "t1:1"]


def test_a_single_task_comes_whole_once():
    shot = {"type": "snapshot", "task": {"id": "t1", "version": 3}}
    stage = Stage(
        hello(), subscribed(task_id="t1"), shot, updated(4), CUT,
        hello(), subscribed(task_id="t1"), {**shot, "task": {"id": "t1", "version": 6}}, updated(5), updated(6),
        answers=[page()],
    )  # fmt: skip
    stage.play(Following([{"task_id": "t1"}]).run())
    assert "since" not in stage.said[0]
    assert [event["type"] for event in stage.told] == ["snapshot"] + ["task_updated"] * 3
    assert ids(stage) == ["t1:4", "t1:5", "t1:6"]


@pytest.mark.parametrize("code", [1000, 1006, 1011, 1012, 1013, 4408, 4429, 4999])
def test_most_ends_are_followed_by_another_try(code):
    stage = Stage(hello(), Lost(code), hello())
    stage.play(Following([QUEUE], "c0").run())
    assert stage.opened == 2


@pytest.mark.parametrize(
    ("code", "kind"), [(4400, InvalidRequest), (4401, Unauthenticated), (4404, NotFound)]
)  # 4403 is Forbidden, of the same table
def test_some_ends_are_final(code, kind):
    with pytest.raises(kind, match=str(code)):
        Stage(hello(), Lost(code)).play(Following([QUEUE], "c0").run())


def test_a_refused_subscription_is_an_error():
    refusal = {"type": "error", "code": "not_found", "detail": "There is no task_id x that you may see."}
    with pytest.raises(NotFound, match="no task_id x"):
        Stage(hello(), refusal).play(Following([{"task_id": "x"}], "c0").run())
    with pytest.raises(InvalidRequest):
        Stage(hello(), {**refusal, "code": "invalid_frame"}).play(Following([QUEUE], "c0").run())


def test_a_refusal_ends_the_subscription_that_it_names_and_no_other():
    """Nor does it hold the cursor of the others up; when they come back, what was refused is not asked for again."""
    refusal = {"type": "error", "code": "not_found", "detail": "None.", "task_id": "x"}
    stage = Stage(hello(), refusal, subscribed(queue="*"), updated(1), CUT, hello(), subscribed(queue="*"), updated(2))
    at = Following([{"task_id": "x"}, QUEUE], "c0")
    stage.play(at.run())
    assert refused(stage) == [({"task_id": "x"}, "None.")]
    assert ids(stage) == ["t1:1", "t1:2"]
    assert [(said.get("queue"), said["since"]) for said in stage.said] == [(None, "c0"), ("*", "c0"), ("*", "c1")]
    assert at.cursor == "c2"


def test_the_refusal_of_the_last_subscription_is_the_end():
    full = {"type": "error", "code": "too_many_subscriptions", "detail": "Too many."}
    stage = Stage(hello(), {**full, "queue": "a"}, {**full, "pipeline_id": "p"})
    with pytest.raises(InvalidRequest) as raised:
        stage.play(Following([{"queue": "a"}, {"pipeline_id": "p"}], "c0").run())
    assert [subscription for subscription, _ in refused(stage)] == [{"queue": "a"}]
    assert raised.value.subscription == {"pipeline_id": "p"}


def test_the_same_key_again_replaces():
    again = {"queue": "a", "statuses": ["failed"]}
    stage = Stage(hello())
    stage.play(Following([{"queue": "a"}, again], "c0").run())
    assert stage.said == [{"type": "subscribe", "batch": True, "since": "c0", **again}]


@pytest.mark.parametrize("wrong", [{}, {"task_id": "a", "queue": "b"}, {"events": ["task_log"]}])
def test_a_subscription_has_one_key(wrong):
    with pytest.raises(ValueError, match="exactly one of"):
        Following([wrong])


# -- polling -------------------------------------------------------------------------------------------------------


def test_three_sockets_without_a_word_and_it_polls():
    stage = Stage(CUT, CUT, CUT, CUT, answers=[page(updated(1), cursor="c1"), page(updated(1), updated(2))])
    stage.play(Following([QUEUE], "c0").run())
    assert [ask.params["since"] for ask in stage.asked][:2] == ["c0", "c1"]
    assert ids(stage) == ["t1:1", "t1:2"]
    assert stage.opened >= 4  # and goes on trying


def test_a_socket_takes_over_from_where_polling_came_to():
    stage = Stage(CUT, CUT, CUT, hello(), subscribed(), answers=[page(cursor="c7")] * 9)
    stage.play(Following([QUEUE], "c0").run())
    assert stage.said[0]["since"] == "c7"


def test_only_what_was_subscribed_to_is_told_from_a_page():
    mine = updated(1, status="failed", queue="mail")
    others = [updated(2, queue="mail"), updated(3, status="failed"), {**mine, "type": "task_created", "event_id": "x"}]
    of_pipeline = {"type": "StepStartEvent", "event_id": "p:1", "cursor": "c", "pipeline_id": "p", "version": 1}
    stage = Stage(CUT, CUT, CUT, answers=[page(mine, *others, of_pipeline)])
    stage.play(Following([{"queue": "mail", "statuses": ["failed"], "events": ["task_updated"]}], "c0").run())
    assert ids(stage) == ["t1:1"]


def test_the_last_event_of_a_pipeline_has_its_status_in_capitals():
    end = {"type": "PipelineCompleteEvent", "event_id": "p:1", "cursor": "c", "pipeline_id": "p", "version": 1}
    stage = Stage(CUT, CUT, CUT, answers=[page(end | {"status": "COMPLETED"})])
    stage.play(Following([{"pipeline_id": "*", "statuses": ["completed"]}], "c0").run())
    assert ids(stage) == ["p:1"]


def test_a_single_thing_comes_whole_when_polling_too_and_nothing_older_after_it():
    task = answer({"id": "t1", "version": 3})
    stage = Stage(CUT, CUT, CUT, answers=[page(), task, page(updated(2), updated(3), updated(4))])
    stage.play(Following([{"task_id": "t1"}]).run())
    assert stage.told[0] == {"type": "snapshot", "task": {"id": "t1", "version": 3}}
    assert ids(stage) == ["t1:4"]


def test_a_single_thing_that_is_unknown_ends_its_own_subscription_when_polling_too():
    task = {"task_id": "t1"}
    unknown = answer({"detail": "None."}, 404)
    whole = answer({"id": "t1", "version": 1})
    stage = Stage(CUT, CUT, CUT, answers=[page(), unknown, whole, page(updated(2))])
    stage.play(Following([{"pipeline_id": "p"}, task]).run())
    assert refused(stage) == [({"pipeline_id": "p"}, "None.")]
    assert stage.told[1] == {"type": "snapshot", "task": {"id": "t1", "version": 1}}
    assert ids(stage) == ["t1:2"]


def test_polling_from_a_cursor_that_is_gone_is_a_resync():
    stage = Stage(CUT, CUT, CUT, answers=[page(cursor="c5", recovered=False), page()])
    stage.play(Following([QUEUE], "ancient").run())
    assert stage.told == [{"type": "resync", "reason": "not_recovered"}]
    assert stage.asked[1].params["since"] == "c5"


def test_polling_outlives_a_hub_that_is_away():
    away = answer({}, 503, **{"retry-after": "7"})
    stage = Stage(*[CUT] * 9, answers=[Unreachable("no route"), away, page(updated(1))])
    stage.play(Following([QUEUE], "c0").run())
    assert ids(stage) == ["t1:1"]


def test_polling_ends_when_the_token_does():
    with pytest.raises(Unauthenticated):
        Stage(CUT, CUT, CUT, answers=[answer({}, 401)]).play(Following([QUEUE], "c0").run())


def test_what_was_told_long_ago_is_forgotten():
    recent = Recent(2)
    assert [recent.add(member) for member in "abacda"] == [True, True, False, True, True, True]
