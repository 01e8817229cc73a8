"""The real settings, with what tests must not share with a running hub."""

import os
import tempfile

os.environ.setdefault("TASKHUB_DATA", tempfile.mkdtemp(prefix="taskhub-test-"))
os.environ["TASKHUB_ENV"] = "development"
os.environ.setdefault("TASKHUB_APPS", "tests.app")

from taskhub.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
