"""``marketsim live``: a market that runs in the browser, to be watched and struck."""

import contextlib
from typing import Annotated

import typer

from marketsim.cli.errors import explained, refuse, say
from marketsim.cli.run import announce_compiling

#: Where the page is served unless it is told where.
DEFAULT_PORT = 8642


def live(
    scenario: Annotated[
        str | None,
        typer.Argument(
            help="Name of a shipped scenario, or the path of a TOML file. [default: contagion]"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Of all random draws. [default: the scenario's]"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help=f"Of the page. [default: {DEFAULT_PORT}, or the next free]"
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address of the page.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(help="Address to listen at; another lets other machines in."),
    ] = "127.0.0.1",
) -> None:
    """Show a market that runs, in the browser: `marketsim live contagion --seed 7`.

    It can be paused, taken back, struck and compared with its twin; `?` on the page says how. Every
    tab has a market of its own, which ends with it. Needs no network. Ctrl-C ends the server.
    """
    with explained():
        from marketsim.live.security import is_loopback
        from marketsim.live.serving import AddressError, make_server, open_port, page_address
        from marketsim.live.setup import Catalogue

        catalogue = Catalogue(scenario)
        try:
            bound = open_port(host, port or DEFAULT_PORT, may_move=port is None)
        except AddressError as error:
            refuse(str(error))
        number = bound.getsockname()[1]
        if port is None and number != DEFAULT_PORT:
            say(f"port {DEFAULT_PORT} is in use, {number} is taken instead")
        if not is_loopback(host):
            say(
                f"warning: at {host} everybody who reaches this machine can watch, make it compute "
                "and take the scenario away; there is no password and no encryption"
            )
        announce_compiling(quiet=False)
        server = make_server(catalogue, catalogue.seed if seed is None else seed, host, number)
        address = page_address(host, number)
        say(f"the page is at {address} (Ctrl-C ends it)")
        if not no_browser:
            _open_browser(address)
        with contextlib.suppress(KeyboardInterrupt):  # how it is meant to end
            server.run(sockets=[bound])
        say("ended")


def _open_browser(address: str) -> None:
    """Open the page; where there is no browser its address has been printed."""
    import threading
    import webbrowser

    threading.Timer(0.5, webbrowser.open, [address]).start()
