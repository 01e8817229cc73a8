"""The ASGI application: HTTP by Django, WebSockets by realtime. The one place where both meet."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskhub.settings")
django = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 - these need Django's settings

from realtime import routing, shutdown  # noqa: E402
from tasks.engine import lifeline  # noqa: E402

application = ProtocolTypeRouter({"http": django, "websocket": routing.application})
shutdown.install()
lifeline.watch()
