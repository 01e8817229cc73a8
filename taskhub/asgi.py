"""The ASGI application: HTTP by Django, WebSockets by realtime. The one place where both meet."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskhub.settings")
application = get_asgi_application()

from tasks.engine import lifeline  # noqa: E402 - its package needs Django's settings

lifeline.watch()
