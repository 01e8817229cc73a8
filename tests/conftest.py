"""What all tests share: users, and short ways to make tasks in a given state."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

pytest_plugins = ["tests.services"]


@pytest.fixture
def alice(db):
    return get_user_model().objects.create_user("alice", password="alice")


@pytest.fixture
def bob(db):
    return get_user_model().objects.create_user("bob", password="bob")
