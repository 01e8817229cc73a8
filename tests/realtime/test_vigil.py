"""Whoever loses their rights loses their socket; who merely has fewer keeps it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from realtime import vigil
from realtime.database import in_database
from realtime.messages import UNAUTHENTICATED
from realtime.vigil import Vigil
from tasks.access import make_token, revoke, session_principal, token_principal
from tasks.models import Token

pytestmark = pytest.mark.django_db(transaction=True)


class Holder:
    def __init__(self, principal) -> None:
        self.principal = principal
        self.rights = None
        self.codes: list[int] = []

    def renew(self, principal, rights) -> None:
        self.principal, self.rights = principal, rights

    def close(self, code: int) -> None:
        self.codes.append(code)


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create_user("anna", password="anna")


@pytest.fixture
def by_token(user) -> Holder:
    return Holder(token_principal(make_token(user, ["read"])[1]))


@pytest.fixture
def browser(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def by_session(user, browser) -> Holder:
    return Holder(session_principal(user, browser.session.session_key))


def deactivate(user) -> None:
    user.is_active = False
    user.save()


def change_password(user) -> None:
    user.set_password("another")
    user.save()


@pytest.mark.parametrize(
    ("event", "token_ends", "session_ends"),
    [
        ("revocation", True, False),
        ("logout", False, True),
        ("deactivation", True, True),
        ("deletion", True, True),
        ("another password", False, True),
        ("nothing", False, False),
    ],
)
async def test_what_ends_is_noticed_at_the_next_look(
    user, browser, by_token, by_session, event, token_ends, session_ends
):
    happen = {
        "revocation": lambda: revoke(Token.objects.all()),
        "logout": browser.logout,
        "deactivation": lambda: deactivate(user),
        "deletion": user.delete,
        "another password": lambda: change_password(user),
        "nothing": lambda: None,
    }
    watch = Vigil([by_token, by_session])
    await watch.look()
    assert by_token.codes == by_session.codes == []
    await in_database(happen[event])
    await watch.look()
    assert by_token.codes == [UNAUTHENTICATED] * token_ends
    assert by_session.codes == [UNAUTHENTICATED] * session_ends


async def test_what_ended_before_the_first_look_is_noticed_too(by_token):
    await in_database(lambda: revoke(Token.objects.all()))
    await Vigil([by_token]).look()
    assert by_token.codes == [UNAUTHENTICATED]


async def test_permissions_are_renewed_now_and_then(user, by_token, monkeypatch):
    watch = Vigil([by_token])
    await watch.look()
    assert not by_token.rights.sees_queues
    await in_database(lambda: user.user_permissions.add(Permission.objects.get(codename="view_queues")))
    await watch.look()
    assert not by_token.rights.sees_queues
    monkeypatch.setattr(vigil, "RENEWAL_S", 0.0)
    await watch.look()
    assert by_token.rights.sees_queues


async def test_nobody_to_watch_asks_nothing(transactional_db, monkeypatch):
    monkeypatch.setattr(vigil, "in_database", None)
    await Vigil([]).look()
