"""The application as a server runs it, but with no other way to send than straight onto the wire."""

from taskhub.asgi import application as application  # noqa: I001 - it sets Django up

from realtime.transports import Daphne, Transport


async def text(self: Transport, frame: str) -> None:
    raise AssertionError("not sent straight onto the wire")


Transport.text = Daphne.text = text  # type: ignore[method-assign]
