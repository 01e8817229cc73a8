"""The ASGI application: HTTP by Django, WebSockets by realtime. The one place where both meet."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskhub.settings")
django = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 - these need Django's settings

from realtime import routing, shutdown  # noqa: E402
from taskhub import urls  # noqa: E402, F401 - before the first request instead of during it
from tasks.engine import lifeline  # noqa: E402

application = ProtocolTypeRouter({"http": django, "websocket": routing.application})
shutdown.install()
lifeline.watch()
gc.freeze()  # what is loaded by now stays: to look through all of it stops every request and socket for a while
