"""Where the web server listens. The supervisor opens the socket and hands it on, so that whoever connects while the
server is started anew waits instead of being refused. No Django.
"""

from __future__ import annotations

import errno
import socket
import time

BACKLOG = 1024
PATIENCE = 2.0  # seconds; a predecessor that was killed needs a moment to let go of the port

WHY = {
    errno.EADDRINUSE: "Port {port} is taken. Stop what uses it, or choose another one with PORT={other}.",
    errno.EACCES: "Only root may listen on port {port}. Choose another one with PORT={other}.",
    errno.EADDRNOTAVAIL: "{host} is not an address of this machine.",
}


class CannotListen(Exception):
    """The message says why, and what to do."""


class Address:
    """A socket that listens."""

    def __init__(self, host: str, port: int) -> None:
        """Raises `CannotListen`."""
        self._host, self._port = host.strip("[]"), port
        try:
            self._socket = self._open()
        except OSError as error:
            why = WHY.get(error.errno or 0, "Cannot listen on {host}: {reason}.")
            raise CannotListen(why.format(host=host, port=port, other=port + 1, reason=error.strerror)) from None

    def _open(self) -> socket.socket:
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_server(address[:2], family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise
            time.sleep(0.1)

    def options(self) -> list[str]:
        """What daphne is told. It takes over sockets of IPv4 only; one of IPv6 it has to open itself."""
        if self._socket.family == socket.AF_INET:
            return ["--fd", str(self._socket.fileno())]
        self._socket.close()
        return ["--bind", self._host, "--port", str(self._port)]

    def descriptors(self) -> list[int]:
        """What a child has to inherit for that."""
        return [self._socket.fileno()] if self._socket.family == socket.AF_INET else []

    def close(self) -> None:
        """Take no more connections, once the web server has let go of it too."""
        self._socket.close()
