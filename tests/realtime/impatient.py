"""The application as a server runs it, but quick to lose its patience: for tests that would wait too long otherwise."""

from taskhub.asgi import application as application  # noqa: I001 - it sets Django up

from realtime import connection, consumers, outbox, vigil

connection.STALL_S = 2.0
connection.LAG_S = 1.0
consumers.FIRST_FRAME_S = 1.0
outbox.EVENTS = 64
vigil.RENEWAL_S = 1.0
