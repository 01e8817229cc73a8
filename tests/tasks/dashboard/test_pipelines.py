"""The pages of pipelines: what they show, to whom, and how they stay true while they are open."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import expect

from tasks import lifecycle
from tasks.lifecycle import Progress
from tasks.masking import MASK
from tasks.pipelines import verbs
from tasks.pipelines.advance import advance
from tasks.states import Actions
from tests.factories import claim
from tests.tasks.pipelines.factories import begin, make_pipeline, now, run, step, task_of

HOSTILE = "<img src=x onerror=alert(1)>"


def address(pipeline):
    return f"/pipelines/{pipeline.pk}/"


# -- the list ------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_with_its_steps(browser):
    run(make_pipeline(name="weekly"), "extract")
    page = browser.get("/pipelines/").content.decode()
    assert "weekly" in page
    assert "1 of 2" in page
    assert 'title="extract: Completed"' in page


def test_readers_see_their_own(bobs_browser, bob, alice):
    make_pipeline(name="mine", owner=bob)
    other = make_pipeline(name="theirs", owner=alice)
    page = bobs_browser.get("/pipelines/").content.decode()
    assert "mine" in page
    assert "theirs" not in page
    assert bobs_browser.get(address(other)).status_code == 404


@pytest.mark.parametrize(("query", "found"), [("status=canceled", "b"), ("name=a", "a"), ("owner=bob", "")])
def test_the_list_is_filtered(browser, query, found):
    make_pipeline(name="a")
    verbs.cancel(make_pipeline(name="b").pk, "alice")
    page = browser.get(f"/pipelines/?{query}").content.decode()
    assert [name for name in "ab" if f">{name}</a>" in page] == list(found)


@pytest.mark.parametrize("query", ["status=waiting", "cursor=x", "name=a b"])
def test_an_address_that_makes_no_sense(browser, query):
    assert browser.get(f"/pipelines/?{query}").status_code == 400


def test_the_list_has_pages(browser, monkeypatch):
    monkeypatch.setattr("tasks.dashboard.pipelines.ROWS", 2)
    made = [make_pipeline(name=f"p{n}") for n in range(3)]
    response = browser.get("/pipelines/")
    assert [row.pk for row in response.context["pipelines"]] == [made[2].pk, made[1].pk]
    older = browser.get(response.context["older"])
    assert [row.pk for row in older.context["pipelines"]] == [made[0].pk]


def test_many_steps_are_shown_by_a_bar(browser):
    make_pipeline(*(step(f"s{n}") for n in range(41)))
    assert 'class="pips"' not in browser.get("/pipelines/").content.decode()


# -- one pipeline --------------------------------------------------------------------------------------------------


def test_the_page_draws_every_step_and_links_those_that_are_tasks(browser):
    pipeline = make_pipeline()
    page = browser.get(address(pipeline)).content.decode()
    assert page.count('class="node"') == 2
    assert f'href="/tasks/{task_of(pipeline, "extract").pk}/"' in page
    assert 'aria-label="load: Waiting"' in page


def test_the_error_is_on_top_with_the_way_to_the_step(browser):
    pipeline = make_pipeline()
    task = claim(task_of(pipeline, "extract"))
    error = {"type": "OSError", "detail": HOSTILE, "fingerprint": "f" * 16}
    run(pipeline, "extract", action=Actions.BURY, error=error)
    page = browser.get(address(pipeline)).content.decode()
    assert "OSError in extract" in page
    assert HOSTILE not in page
    assert f'<a href="/tasks/{task.pk}/">' in page


def test_secrets_of_the_input_stay_inside(browser):
    page = browser.get(address(make_pipeline(input={"password": "canary"}))).content.decode()
    assert "canary" not in page
    assert MASK in page


@pytest.mark.parametrize(
    ("status", "offered"),
    [("pending", ["Cancel", "Pause"]), ("paused", ["Cancel", "Resume"]), ("canceled", ["Retry"]), ("completed", [])],
)
def test_the_buttons_are_those_that_would_work(browser, status, offered):
    pipeline = make_pipeline()
    match status:
        case "paused":
            verbs.pause(pipeline.pk, "alice")
        case "canceled":
            verbs.cancel(pipeline.pk, "alice")
        case "completed":
            run(pipeline, "extract", "load")
    operations = browser.get(address(pipeline)).context["operations"]
    assert [operation.capitalize() for operation in operations] == offered


def test_owners_have_no_button_to_retry(bobs_browser, bob):
    pipeline = make_pipeline(owner=bob)
    assert bobs_browser.get(address(pipeline)).context["operations"] == ["cancel", "pause"]
    verbs.cancel(pipeline.pk, "bob")
    assert bobs_browser.get(address(pipeline)).context["operations"] == []


def test_the_timeline_tells_the_story(browser):
    pipeline = make_pipeline()
    run(pipeline, "extract", "load")
    page = browser.get(address(pipeline)).content.decode()
    words = ["Pipeline completed", "load completed", "load started", "extract completed", "extract started"]
    places = [page.index(f"<b>{word}</b>") for word in words]
    assert places == sorted(places)


def test_a_page_costs_the_same_however_many_steps(browser, django_assert_max_num_queries):
    pipeline = make_pipeline(*(step(f"s{n}") for n in range(60)))
    with django_assert_max_num_queries(16):
        assert browser.get(address(pipeline)).status_code == 200


def test_an_unknown_pipeline(browser):
    assert browser.get(f"/pipelines/{uuid.uuid4()}/").status_code == 404


def test_a_step_of_a_task_leads_to_its_pipeline(browser):
    pipeline = make_pipeline()
    page = browser.get(f"/tasks/{task_of(pipeline, 'extract').pk}/").content.decode()
    assert f'href="{address(pipeline)}"' in page


# -- in a browser --------------------------------------------------------------------------------------------------


def await_frame(page, stream, frame):
    """Until the page has said that, whatever else was in the frame."""
    for _ in range(100):
        if any(frame.items() <= said.items() for said in stream.heard):
            return
        page.wait_for_timeout(50)
    raise AssertionError(stream.heard)


def visit(page, path):
    page.goto(path)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_a_step_changes_where_it_is_drawn(page, stream):
    pipeline = make_pipeline()
    visit(page, address(pipeline))
    run(pipeline, "extract")
    stream.tell()
    expect(page.locator("#step-0")).to_have_attribute("data-status", "completed")
    expect(page.locator("#step-1")).to_have_attribute("data-status", "pending")
    expect(page.locator(".task-progress b")).to_have_text("1 of 2")
    run(pipeline, "load")
    stream.tell()
    expect(page.locator(".task-status .chip")).to_have_text("Completed")
    expect(page.locator("#result-json")).to_contain_text("load")
    assert stream.errors == []


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_a_running_step_shows_its_progress(page, stream):
    pipeline = make_pipeline()
    visit(page, address(pipeline))
    task = begin(pipeline, "extract")
    stream.tell()
    await_frame(page, stream, {"type": "subscribe", "task_id": str(task.pk), "events": ["task_progress"]})
    lifecycle.report([Progress(task.pk, task.lease, 50.0, HOSTILE)], "w")
    stream.tell()
    expect(page.locator("#step-0 .done")).to_have_attribute("width", "80")
    expect(page.locator("#step-0 [data-note]")).to_have_text(HOSTILE[:24])
    assert stream.errors == []


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_what_has_not_changed_is_not_touched(page, stream):
    pipeline = make_pipeline(*(step(f"s{n}") for n in range(3)))
    visit(page, address(pipeline))
    page.evaluate("document.querySelectorAll('[data-part]').forEach(part => part.mine = true)")
    run(pipeline, "s1")
    stream.tell()
    expect(page.locator(".steps tr[data-part=s1] .chip")).to_have_text("Completed")
    old = "parts => parts.filter(part => part.mine).map(part => part.dataset.part)"
    assert page.locator(".node").evaluate_all(old) == ["s0", "s2"]
    assert page.locator(".steps tr").evaluate_all(old) == ["s0", "s2"]


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_what_happens_while_the_page_is_rendered_is_seen_too(page, stream):
    pipeline = make_pipeline()
    visit(page, address(pipeline))

    def render_late(route):
        rendered = route.fetch()
        run(pipeline, "load")
        stream.tell()
        await_version(page, now(pipeline).version)
        route.fulfill(response=rendered)

    page.route(f"**{address(pipeline)}", render_late, times=1)
    run(pipeline, "extract")
    stream.tell()
    expect(page.locator(".task-status .chip")).to_have_text("Completed")
    expect(page.locator(".task-progress b")).to_have_text("2 of 2")


def await_version(page, version):
    expect(page.locator("#pipeline")).to_have_attribute("data-version", str(version))


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_a_button_acts_on_the_pipeline(page, stream):
    pipeline = make_pipeline()
    visit(page, address(pipeline))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".task-status .chip")).to_have_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".task-status .chip")).to_have_text("Pending")
    assert stream.errors == []


@pytest.mark.browser
@pytest.mark.usefixtures("transactional_db")
def test_the_list_is_live(page, stream):
    pipeline = make_pipeline()
    visit(page, "/pipelines/")
    await_frame(page, stream, {"type": "subscribe", "pipeline_id": "*"})
    claim(task_of(pipeline, "extract"))
    advance(pipeline.pk)
    stream.tell()
    expect(page.locator(f".row[data-id='{pipeline.pk}'] .chip")).to_have_text("Processing")
    assert stream.errors == []
