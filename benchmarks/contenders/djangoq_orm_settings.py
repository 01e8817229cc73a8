"""django-q2 with its ORM broker, set up as its documentation advises: `retry` longer than `timeout`, failures tried."""

import os

SECRET_KEY = "benchmark"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_q"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCHMARK_SQLITE"]}}
DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
USE_TZ = True
Q_CLUSTER = {"name": "benchmark", "orm": "default", "workers": 2, "timeout": 15, "retry": 20, "log_level": "ERROR"}
