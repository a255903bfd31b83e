"""Who may talk to the page's server, what its pages may do, and how much is too much."""

import ipaddress
import socket
import time
from collections.abc import Callable

#: Of all pages: nothing from elsewhere, nothing inline, in nobody's frame.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Largest message of a client that is read, bytes.
MAX_MESSAGE = 4_096
#: A larger one than this is not even taken in: the connection ends.
MAX_FRAME = 2**20
#: Messages a client may send: at once, and a second in the long run.
BURST, PER_SECOND = 120, 40.0
#: Names of a machine to itself.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str) -> bool:
    """Tell whether a server at this address is reached from its own machine only.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Doorkeeper:
    """Knows by which names the server may be called.

    A page of a stranger can make a browser call a server on its own machine; the name it calls it
    by, in the Host header or as the Origin of a websocket, gives it away.

    Parameters
    ----------
    host : str
        Address the server listens at.
    port : int
    """

    def __init__(self, host: str, port: int) -> None:
        self._port = port
        self._names = {*LOOPBACK}
        self._any_address = False
        if not is_loopback(host):
            self._names |= {host.lower(), socket.gethostname().lower()}
            # It listens at several addresses: a name cannot be made to point to a number.
            self._any_address = True

    def admits_host(self, host: str | None) -> bool:
        """Tell whether a Host header names this server."""
        if not host:
            return False
        name, colon, port = host.lower().rpartition(":")
        if not colon or "]" in port:  # without a port
            name, port = host.lower(), "80"
        return port == str(self._port) and (name in self._names or self._is_address(name))

    def admits_origin(self, origin: str | None) -> bool:
        """Tell whether the Origin of a websocket is one of this server's own pages."""
        scheme, _, host = (origin or "").partition("://")
        return scheme == "http" and self.admits_host(host)

    def _is_address(self, name: str) -> bool:
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


class Allowance:
    """How many messages a client may still send.

    Parameters
    ----------
    clock : callable, optional
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._since = clock()

    def take(self) -> bool:
        """Use one; False if there is none left."""
        now = self._clock()
        self._left = min(self._left + (now - self._since) * PER_SECOND, float(BURST))
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
