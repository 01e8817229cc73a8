"""The pages in a real browser, with the test at the other end of their sockets."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tasks import lifecycle
from tasks.lifecycle import Progress
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_task

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("transactional_db")]

HOSTILE = "<img src=x onerror=alert(1)>"


def row(page, task):
    return page.locator(f"#task-{task.pk}")


def visit(page, path="/"):
    page.goto(path)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")


# -- the list


def test_a_row_changes_where_it_stands(page, stream):
    below, above = make_task(), make_task()
    visit(page)
    lifecycle.pause(below.pk, "alice")
    stream.tell()
    expect(row(page, below).locator(".chip")).to_have_text("Paused")
    expect(row(page, below).get_by_role("button", name="Resume")).to_be_visible()
    expect(row(page, above).locator(".chip")).to_have_text("Pending")
    assert page.locator(".row").nth(1).get_attribute("data-id") == str(below.pk)


def test_progress_moves_and_its_words_are_only_words(page, stream):
    task = claim(make_task())
    visit(page)
    lifecycle.report([Progress(task.pk, task.lease, 42.9, HOSTILE)], "w")
    stream.tell()
    expect(row(page, task).locator("[data-progress]")).to_have_text(f"42% {HOSTILE}")
    assert stream.errors == []


def test_a_new_task_slides_in(page, stream):
    make_task()
    visit(page)
    new = make_task()
    stream.tell()
    expect(page.locator(".row").first).to_have_attribute("data-id", str(new.pk))


def test_the_first_task_of_all_appears(page, stream):
    visit(page)
    expect(page.get_by_role("heading", name="No tasks yet")).to_be_visible()
    new = make_task()
    stream.tell()
    expect(row(page, new)).to_be_visible()


def test_new_tasks_wait_while_somebody_reads(page, stream):
    old = make_task()
    visit(page)
    row(page, old).hover()
    new = make_task()
    stream.tell()
    button = page.get_by_role("button", name="1 new")
    expect(button).to_be_visible()
    expect(row(page, new)).to_have_count(0)
    button.click()
    expect(row(page, new)).to_be_visible()
    expect(button).to_be_hidden()


def test_the_page_never_grows_over_a_hundred_rows(page, stream):
    for _ in range(100):
        make_task()
    visit(page)
    oldest = page.locator(".row").last.get_attribute("id")
    new = make_task()
    stream.tell()
    expect(row(page, new)).to_be_visible()
    expect(page.locator(".row")).to_have_count(100)
    expect(page.locator(f"#{oldest}")).to_have_count(0)


def test_a_filter_is_an_address(page, stream):
    failed, _ = make_task("failed"), make_task()
    visit(page)
    page.locator("label", has_text="Failed").click()
    expect(page.locator(".row")).to_have_count(1)
    expect(row(page, failed)).to_be_visible()
    assert page.url.endswith("/?status=failed")


def test_only_what_matches_the_filter_comes_in(page, stream):
    visit(page, "/?status=pending")
    other = claim(make_task())
    match = make_task()
    stream.tell()
    expect(row(page, match)).to_be_visible()
    expect(row(page, other)).to_have_count(0)


def test_the_filter_goes_on_when_a_search_is_removed(page, stream):
    make_task(tags=["eu"])
    make_task()
    visit(page, "/?tag=eu&status=pending")
    expect(page.locator(".row")).to_have_count(1)
    page.get_by_role("button", name="Remove the filter tag").click()
    expect(page.locator(".row")).to_have_count(2)
    assert page.url.endswith("/?status=pending")


def test_what_left_the_filter_steps_back_and_goes(page, stream):
    task = make_task()
    visit(page, "/?status=pending")
    lifecycle.pause(task.pk, "alice")
    stream.tell()
    expect(row(page, task)).to_have_class(re.compile(r"\bleft\b"))
    expect(row(page, task)).to_have_count(0)


def test_counts_follow_the_hub(page, stream):
    visit(page)
    by_status = {"pending": 3, "dead_lettered": 1234}
    stream.say("queue_status", total_tasks=1237, workers_online=2, by_status=by_status, queues=[{"name": "fresh"}])
    expect(page.locator("[data-count=total]")).to_have_text("1,237")
    expect(page.locator("[data-count=dead_lettered]")).to_have_text("1,234")
    expect(page.locator("[data-count=workers]")).to_have_text("2")
    expect(page.locator("#queue option", has_text="fresh")).to_have_count(1)


def test_the_stream_starts_where_the_page_was_rendered(page, stream):
    make_task()
    visit(page)
    rendered = page.locator("#list").get_attribute("data-cursor")
    assert stream.heard == [{"type": "subscribe", "queue": "*", "batch": True, "since": rendered}]


def test_another_queue_is_another_subscription(page, stream):
    make_task(queue="mail")
    visit(page)
    page.locator("#queue").select_option("mail")
    expect(page).to_have_url(re.compile("queue=mail"))
    rendered = page.locator("#list").get_attribute("data-cursor")
    assert stream.heard[1:] == [
        {"type": "unsubscribe", "queue": "*"},
        {"type": "subscribe", "queue": "mail", "batch": True, "since": rendered},
    ]


def test_a_gap_is_closed_by_rendering_anew(page, stream):
    task = make_task()
    visit(page)
    lifecycle.pause(task.pk, "alice")
    stream.say("resync", reason="too slow")
    expect(row(page, task).locator(".chip")).to_have_text("Paused")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")


def test_the_focus_survives_it(page, stream):
    make_task()
    visit(page)
    page.keyboard.press("j")
    first = page.locator("#list").element_handle()
    stream.say("resync", reason="too slow")
    first.wait_for_element_state("hidden")
    expect(page.locator(".row-link")).to_be_focused()


# -- acting


def test_a_button_acts_and_its_row_follows(page, stream):
    task = make_task()
    visit(page)
    row(page, task).get_by_role("button", name="Cancel").click()
    expect(row(page, task).locator(".chip")).to_have_text("Canceled")
    assert Task.objects.get(pk=task.pk).status == "canceled"


def test_a_refusal_is_told_in_the_hubs_words(page, stream):
    task = make_task()
    visit(page)
    end(claim(task), Actions.COMPLETE)
    row(page, task).get_by_role("button", name="Pause").click()
    expect(page.locator(".toast")).to_contain_text("Cannot pause a task that is completed")
    expect(row(page, task).locator(".chip")).to_have_text("Completed")


def test_a_task_is_submitted(page, stream):
    visit(page)
    page.keyboard.press("n")
    page.get_by_label("Handler", exact=True).and_(page.locator("select")).select_option("test.echo")
    page.locator("[name=payload]").fill('{"value": "hello"}')
    page.locator("[name=priority]").fill("7")
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator(".toast")).to_contain_text("Task submitted")
    task = Task.objects.get()
    assert (task.name, task.payload, task.priority) == ("test.echo", {"value": "hello"}, 7)


def test_a_payload_arrives_as_it_was_typed(page, stream):
    visit(page)
    page.keyboard.press("n")
    page.get_by_label("HTTP callback").check()
    page.locator("[name=callback_url]").fill("https://example.com/hook")
    page.locator("[name=payload]").fill('{"id": 12345678901234567890}')
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator(".toast")).to_contain_text("Task submitted")
    assert Task.objects.get().payload == {"id": 12345678901234567890}


def test_what_is_wrong_is_said_at_its_field(page, stream):
    visit(page)
    page.keyboard.press("n")
    page.locator("#submit-name").select_option("test.echo")
    payload = page.locator("[data-field=payload]")
    payload.locator("textarea").fill("{")
    page.get_by_role("button", name="Submit task").click()
    expect(payload.locator(".wrong")).to_contain_text("This is not JSON")
    payload.locator("textarea").fill('{"wrong": 1}')
    expect(payload.locator(".wrong")).to_have_count(0)
    page.locator("[name=priority]").fill("101")
    page.get_by_role("button", name="Submit task").click()
    expect(page.locator("[data-field=priority] .wrong")).to_be_visible()
    assert not Task.objects.exists()


# -- the connection


def test_the_badge_tells_the_truth(page, stream):
    visit(page)
    badge = page.locator("#connection")
    expect(badge).to_have_text(re.compile("Live"))
    stream.drop(1012)
    expect(badge).to_have_text(re.compile("Reconnecting"))
    expect(badge).to_have_attribute("data-state", "live")
    stream.drop(4401)
    expect(badge).to_have_text(re.compile("Signed out"))
    expect(page.locator(".toast")).to_contain_text("You are signed out")
    expect(page.locator("body")).to_have_attribute("data-stale", "")


# -- keyboard, theme, phone


def test_the_keyboard_leads_through_the_list(page, stream):
    second, first = make_task(), make_task()
    visit(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(row(page, second).locator(".row-link")).to_be_focused()
    page.keyboard.press("k")
    expect(row(page, first).locator(".row-link")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("jn?")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/tasks/{first.pk}/"))


def test_the_theme_is_kept_and_there_before_the_first_paint(page, stream):
    visit(page)
    toggle = page.locator("[data-theme-toggle]")
    toggle.click()
    toggle.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/login", wait_until="commit")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("path", ["/", "/tasks/{}/", "/login", "/nowhere"])
def test_nothing_sticks_out_and_nothing_is_refused(page, stream, path):
    task = make_task("dead_lettered", queue="q" * 100, tags=["t" * 64] * 3)
    Task.objects.filter(pk=task.pk).update(
        name="n" * 100, payload={"k" * 300: "v" * 900}, error={"type": "E" * 200, "detail": "d" * 2000}
    )
    page.goto(path.format(task.pk))
    for width in (390, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [error for error in stream.errors if "404" not in error] == []


# -- a task


def test_a_task_is_followed_to_its_end(page, stream):
    task = make_task()
    visit(page, f"/tasks/{task.pk}/")
    task = claim(task)
    lifecycle.report([Progress(task.pk, task.lease, 12, "page 1")], "w")
    stream.tell()
    expect(page.locator("[data-region=status]")).to_contain_text("Processing")
    expect(page.locator(".attempt")).to_contain_text("Running")
    expect(page.locator("[data-region=progress]")).to_have_text(re.compile(r"12%\s+page 1"))
    expect(page.locator("[data-region=timeline] .event").first).to_contain_text("Started")
    stream.say("task_log", task_id=str(task.pk), seq=1, level="info", message=HOSTILE)
    expect(page.locator("#log-lines")).to_contain_text(HOSTILE)
    task.refresh_from_db()
    end(task, Actions.COMPLETE, result={"pages": 72})
    stream.tell()
    expect(page.locator("#result-json")).to_contain_text('"pages": 72')
    expect(page.locator("[data-region=progress] progress")).to_have_attribute("value", "100")
    expect(page.locator("[data-region=timeline] .event")).to_have_count(3)
    expect(page.locator(".attempt")).to_have_count(1)
    expect(page.locator(".attempt")).to_contain_text("Completed")
    assert stream.errors == []


def test_a_failure_is_told_on_top_as_it_happens(page, stream):
    task = claim(make_task())
    visit(page, f"/tasks/{task.pk}/")
    end(task, Actions.BURY)
    stream.tell()
    expect(page.locator(".banner")).to_contain_text("it broke")
    expect(page.get_by_role("button", name="Resurrect")).to_be_visible()


def test_a_task_that_is_gone_says_so(page, stream):
    visit(page, f"/tasks/{make_task().pk}/")
    stream.drop(4404)
    expect(page.locator("#connection")).to_have_text(re.compile("Gone"))
