"""Serves the page at an address until it is told to stop."""

import errno
import socket

import uvicorn

from marketsim.live.security import MAX_FRAME, Doorkeeper, is_loopback
from marketsim.live.server import make_app
from marketsim.live.setup import Catalogue

#: Ports that are tried when the one that was asked for is taken.
TRIES = 20


class AddressError(OSError):
    """There is no serving at an address; says why and what would do."""


def open_port(host: str, port: int, *, may_move: bool) -> socket.socket:
    """Bind a port.

    Parameters
    ----------
    host : str
    port : int
    may_move : bool
        Take the next free port where this one is taken; else refuse, and name that one.

    Raises
    ------
    AddressError
    """
    taken = None
    for number in range(port, min(port + TRIES, 65_536)):
        bound = _bind(host, number)
        if bound is None:
            taken = port
            continue
        if taken is not None and not may_move:
            bound.close()
            raise AddressError(f"port {port} is in use; --port {number} is free")
        return bound
    raise AddressError(f"port {port} is in use, and so are those after it: choose another --port")


def _bind(host: str, port: int) -> socket.socket | None:
    """Bind one port; None if it is in use."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise AddressError(f"--host {host}: there is no such address") from None
    bound = socket.socket(family, kind, proto)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen()  # who comes before the server is ready waits
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            return None
        what = f"--host {host} --port {port}: {error.strerror}"
        raise AddressError(what) from None
    return bound


def page_address(host: str, port: int) -> str:
    """Return the address a browser on this machine opens."""
    name = host if is_loopback(host) else "127.0.0.1"
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def make_server(catalogue: Catalogue, seed: int, host: str, port: int) -> uvicorn.Server:
    """Make the server of a bound port; its `run` takes the socket."""
    config = uvicorn.Config(
        make_app(catalogue, seed, Doorkeeper(host, port)),
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)
