"""The real settings, with what tests must not share with a running hub."""

import os
import tempfile

os.environ.setdefault("TASKHUB_DATA", tempfile.mkdtemp(prefix="taskhub-test-"))
os.environ["TASKHUB_ENV"] = "development"
os.environ["TASKHUB_APPS"] = "tests.app,demo"

from taskhub.settings import *  # noqa: E402, F403
from taskhub.settings import DATA, DATABASES  # noqa: E402

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, as in real life: threads that share a database in memory don't wait for each other's locks, they fail.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA / f"test-{os.getpid()}.sqlite3")}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
