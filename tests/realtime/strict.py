"""The application as a server runs it, but soon of the opinion that a client is slow, and then in no hurry."""

from taskhub.asgi import application as application  # noqa: I001 - it sets Django up

from realtime import connection, outbox, transports

connection.LAG_S = 0.5
outbox.EVENTS = 64
transports.CLOSE_S = 60.0
