"""The page of one's callback secret: a new one is shown in one answer and never again."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tasks.models import CallbackSecret

pytestmark = pytest.mark.django_db
PATH = "/account/callback-secret"


@pytest.fixture
def browser(alice):
    browser = Client()
    browser.force_login(alice)
    return browser


def test_a_new_secret_is_shown_once(browser, alice):
    answer = browser.post(PATH, {"verb": "rotate"})
    assert "no-store" in answer["Cache-Control"]
    shown = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.content.decode())
    assert shown
    assert CallbackSecret.objects.get(user=alice).secret == shown[0]
    assert "whsec_" not in browser.get(PATH).content.decode()


def test_the_page_offers_what_can_be_done(browser, alice):
    def offered():
        return re.findall(r'name="verb" value="(\w+)"', browser.get(PATH).content.decode())

    assert offered() == ["rotate"]
    browser.post(PATH, {"verb": "rotate"})
    assert offered() == ["rotate", "remove"]
    browser.post(PATH, {"verb": "rotate"})
    assert offered() == ["retire", "rotate", "remove"]
    assert browser.post(PATH, {"verb": "retire"})["Location"] == PATH
    assert browser.post(PATH, {"verb": "remove"})["Location"] == PATH
    assert not CallbackSecret.objects.filter(user=alice).exists()


def test_it_is_ones_own(browser, bob):
    CallbackSecret.objects.create(user=bob, secret="whsec_bob")
    browser.post(PATH, {"verb": "remove"})
    assert CallbackSecret.objects.get().user == bob


def test_no_other_page_can_post_it(alice):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert browser.post(PATH, {"verb": "rotate"}).status_code == 403
    assert not CallbackSecret.objects.exists()
