"""All settings, in one file: every variable that TaskHub reads from its environment is read here, through `env`.

Production and development differ by values, not by code. Safe by default: what is convenient only for a developer is
switched on by `make run`, which records `development` in the data directory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url

from taskhub import env
from tasks import failpoints
from tasks.callbacks.guard import AddressPolicy
from tasks.callbacks.signature import generate_secret, parse_secrets

BASE_DIR = Path(__file__).resolve().parent.parent
DATA = env.directory("TASKHUB_DATA", BASE_DIR / ".data")

RECORDED_ENVIRONMENT = DATA / "environment"  # written by `make run`
_recorded = RECORDED_ENVIRONMENT.read_text().strip() if RECORDED_ENVIRONMENT.exists() else "production"
TASKHUB_ENV = env.choice("TASKHUB_ENV", {"production": "production", "development": "development"}, _recorded)
DEVELOPMENT = TASKHUB_ENV == "development"
DEBUG = False  # Django's debug pages show settings and stack traces; our error pages and logs serve developers too


def _generated(name: str) -> Path | None:
    """Where a secret that nobody has set is kept; in production nowhere."""
    return DATA / name if DEVELOPMENT else None


# -- addresses -----------------------------------------------------------------------------------------------------

PORT = env.integer("PORT", 8000, least=1, most=65_535)
TASKHUB_BASE_URL = env.address("TASKHUB_BASE_URL", "http", "https", default=f"http://localhost:{PORT}")
_base = urlsplit(TASKHUB_BASE_URL)
ALLOWED_HOSTS = [*env.names("TASKHUB_ALLOWED_HOSTS"), _base.hostname, "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [f"{_base.scheme}://{_base.netloc}"]
HTTPS = _base.scheme == "https"

# -- Django --------------------------------------------------------------------------------------------------------

SECRET_KEY = env.secret("TASKHUB_SECRET_KEY", _generated("secret_key"))
INSTALLED_APPS = [
    *(["daphne"] if "runserver" in sys.argv else []),  # replaces runserver by an ASGI one; slow to import
    "taskhub.admin.HubAdmin",  # django.contrib.admin, with our site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "tasks",
    "realtime",
    *env.apps("TASKHUB_APPS", "demo" if DEVELOPMENT else ""),
]
MIDDLEWARE = [
    "tasks.api.problems.middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tasks.dashboard.policy.ContentSecurityPolicy",
]
ROOT_URLCONF = "taskhub.urls"
ASGI_APPLICATION = "taskhub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"dashboard": "tasks.dashboard.templatetags.dashboard"},
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEVELOPMENT  # else an edited file is sent with the length of the old one
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- database ------------------------------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL", f"sqlite:///{DATA / 'taskhub.sqlite3'}")
DATABASES = {"default": env.parsed("DATABASE_URL", dj_database_url.parse, DATABASE_URL)}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: a transaction that will write takes the lock at its start, where it can wait for it.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA temp_store=MEMORY;"
            "PRAGMA mmap_size=134217728;PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-20000;"
            "PRAGMA wal_autocheckpoint=4000;"
        ),
    }
elif _database["ENGINE"] == "django.db.backends.postgresql":
    _database["OPTIONS"] = {
        "prepare_threshold": 5,  # PostgreSQL keeps the plans of the engine's statements; a pooler may want None
        **_database.get("OPTIONS", {}),
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
else:
    raise env.InvalidEnvironment("DATABASE_URL must name an SQLite or a PostgreSQL database.")

# -- Redis, channels, django-q2 --------------------------------------------------------------------------------------

REDIS_URL = env.address("REDIS_URL", "redis", "rediss", "unix")
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_keepalive": True, "health_check_interval": 15}]},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

TASKHUB_WORKERS = env.integer("TASKHUB_WORKERS", min(os.cpu_count() or 2, 4), least=1, most=256)
Q_CLUSTER = {
    "name": "taskhub",
    "broker_class": "tasks.engine.broker.TicketBroker",
    "workers": TASKHUB_WORKERS + 1,  # one of them runs the event loop
    "queue_limit": 1,
    "save_limit": -1,
    "ack_failures": True,
    "max_attempts": 1,
    "timeout": 3600,  # every ticket says -1, which switches this off; it and retry only quiet a warning
    "retry": 7200,
    "recycle": 1_000_000,  # the runner says when a process is to end
    "scheduler": False,
    "daemonize_workers": False,  # handlers may start processes of their own
    "guard_cycle": 0.5,
    "log_level": "WARNING",
}

# -- the engine ----------------------------------------------------------------------------------------------------

TASKHUB_HEARTBEAT_S = env.seconds("TASKHUB_HEARTBEAT_S", 5, least=0.1, most=300)
TASKHUB_LEASE_S = env.seconds("TASKHUB_LEASE_S", 15, least=0.3, most=3600)
if TASKHUB_LEASE_S < 3 * TASKHUB_HEARTBEAT_S:
    raise env.InvalidEnvironment("TASKHUB_LEASE_S must be at least three times TASKHUB_HEARTBEAT_S.")
TASKHUB_SHUTDOWN_GRACE_S = env.seconds("TASKHUB_SHUTDOWN_GRACE_S", 8 if DEVELOPMENT else 25, most=3600)
TASKHUB_CANCEL_GRACE_S = env.seconds("TASKHUB_CANCEL_GRACE_S", 10, most=3600)
TASKHUB_EVENTS_KEEP_S = env.seconds("TASKHUB_EVENTS_KEEP_S", 604_800)
TASKHUB_PROGRESS_KEEP_S = env.seconds("TASKHUB_PROGRESS_KEEP_S", 86_400)
TASKHUB_RETENTION_DAYS = env.integer("TASKHUB_RETENTION_DAYS", 30)
TASKHUB_STREAM_CONNECTIONS = env.integer("TASKHUB_STREAM_CONNECTIONS", 100, least=1)
TASKHUB_RATE_LIMIT = env.integer("TASKHUB_RATE_LIMIT", 6000, least=1)
TASKHUB_BACKLOG_LIMIT = env.integer("TASKHUB_BACKLOG_LIMIT", 1_000_000)
TASKHUB_FAILPOINT = env.checked("TASKHUB_FAILPOINT", env.text("TASKHUB_FAILPOINT"), failpoints.parse)
if TASKHUB_FAILPOINT and not DEVELOPMENT:
    raise env.InvalidEnvironment("TASKHUB_FAILPOINT breaks processes on purpose; it is for development only.")

# -- callbacks -----------------------------------------------------------------------------------------------------

# Under `make run` the tutorial's receiver is on this machine; anywhere else only public addresses may be reached.
_allowed = env.text("TASKHUB_CALLBACK_ALLOW", "127.0.0.0/8,::1/128" if DEVELOPMENT else "")
TASKHUB_CALLBACK_ALLOW = env.checked("TASKHUB_CALLBACK_ALLOW", _allowed, AddressPolicy.parse)
_secret = env.secret("TASKHUB_CALLBACK_SECRET", _generated("callback_secret"), generate_secret)
TASKHUB_CALLBACK_SECRET = env.checked("TASKHUB_CALLBACK_SECRET", _secret, parse_secrets)

# -- people and programs -------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"
TASKHUB_ADMIN_PASSWORD = env.text("TASKHUB_ADMIN_PASSWORD")
TASKHUB_ADMIN_TOKEN = env.text("TASKHUB_ADMIN_TOKEN")
if TASKHUB_ADMIN_TOKEN and len(TASKHUB_ADMIN_TOKEN) < 20:
    raise env.InvalidEnvironment("TASKHUB_ADMIN_TOKEN must have 20 characters or more.")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = False  # the proxy in front of us redirects; behind it every request looks like plain HTTP
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# The redirect is the proxy's, and what holds for the whole domain is for its owner to say, not for one host on it.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# -- REST ----------------------------------------------------------------------------------------------------------

TASKHUB_MASKED_KEYS = env.names(
    "TASKHUB_MASKED_KEYS",
    "password,passwd,pwd,passphrase,secret,secret_key,token,api_key,access_key,private_key,credential,credentials,"
    "authorization,cookie",
)
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024 + 64 * 1024  # a bulk request and its envelope
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tasks.api.authentication.TokenAuthentication",
        "tasks.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tasks.api.permissions.Closed"],
    "DEFAULT_RENDERER_CLASSES": ["tasks.api.encoding.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tasks.api.encoding.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "tasks.api.encoding.AlwaysJSON",
    "DEFAULT_THROTTLE_CLASSES": ["tasks.api.throttling.Throttle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tasks.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TaskHub",
    "DESCRIPTION": (
        "Submit tasks, follow them, operate them.\n\n"
        "Send `Authorization: Bearer <token>`, or sign in and let the browser send its cookie. A token's rights are "
        "its scopes (`submit`, `read`, `operate`; `admin` is all of them), cut to the permissions of its user. What "
        "you may not see is answered like what is not there: 404.\n\n"
        "Every error is `application/problem+json`; `errors` names each wrong field. Times are ISO 8601 in UTC, "
        "durations are seconds. `RateLimit` tells how many requests are left in this minute."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "POSTPROCESSING_HOOKS": ["tasks.api.schema.add_components"],
    "SORT_OPERATIONS": False,
}

# -- logs ----------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)-7s %(name)s  %(message)s", "datefmt": "%H:%M:%S"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "django.request": {"level": "ERROR"},  # what a client did wrong, the client is told
        "tasks": {"level": "INFO"},
        "realtime": {"level": "INFO"},
        "django-q": {"level": "WARNING", "handlers": ["console"], "propagate": False},
    },
}
