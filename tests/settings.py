"""The real settings, apart from any hub that runs here: nothing of what the environment says to TaskHub is kept."""

import atexit
import os
import shutil
import tempfile

OURS = "TASKHUB_TESTS"  # the process that tests; its children find the environment as it has made it
if OURS not in os.environ:
    for name in set(os.environ) - {"TASKHUB_REQUIRE_SERVICES"}:
        if name.startswith(("TASKHUB_", "DATABASE_URL", "REDIS_URL")):
            del os.environ[name]
    os.environ[OURS] = str(os.getpid())
    os.environ["TASKHUB_DATA"] = tempfile.mkdtemp(prefix="taskhub-test-")
    os.environ["TASKHUB_ENV"] = "development"
    os.environ["TASKHUB_APPS"] = "tests.app,demo"


@atexit.register
def _clear_up() -> None:
    if os.environ[OURS] == str(os.getpid()):
        shutil.rmtree(os.environ["TASKHUB_DATA"], ignore_errors=True)


from taskhub.settings import *  # noqa: E402, F403
from taskhub.settings import DATA, DATABASES  # noqa: E402

# A file, as in real life: threads that share a database in memory don't wait for each other's locks, they fail.
DATABASES["default"]["TEST"] = {"NAME": str(DATA / f"test-{os.getpid()}.sqlite3")}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
