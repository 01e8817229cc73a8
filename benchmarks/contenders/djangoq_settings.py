"""django-q2 as it comes: Redis broker, each result saved to SQLite."""

import os

from benchmarks.contenders import REDIS_VARIABLE

SECRET_KEY = "benchmark"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_q"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BENCHMARK_SQLITE"],
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
    }
}
USE_TZ = True
Q_CLUSTER = {
    "name": "benchmark",
    "redis": os.environ[REDIS_VARIABLE],
    "workers": 2,
    "timeout": 60,
    "retry": 120,
    "save_limit": 0,
    "log_level": "ERROR",
}
