"""A viewer without a browser: asks a session and reads what it sends."""

import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from marketsim.live.commands import FIELDS, Command
from marketsim.live.session import ClosedError, Session
from marketsim.live.setup import Catalogue, Setup
from marketsim.report.wire import Message, unpack

PATIENCE = 120.0


class Viewer:
    """Holds what a page would hold: the last status, the lanes, the messages."""

    def __init__(self, catalogue: Catalogue, setup: Setup) -> None:
        self._messages: queue.Queue[bytes] = queue.Queue()
        self._is_gone = threading.Event()
        self.session = Session(catalogue, setup, self._send)
        self.status: dict[str, Any] = {}
        self.refused: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self.session.run, daemon=True)
        self._thread.start()

    def _send(self, data: bytes) -> None:
        if self._is_gone.is_set():
            raise ClosedError
        self._messages.put(data)

    def next(self) -> Message:
        message = unpack(self._messages.get(timeout=PATIENCE))
        if message.header["kind"] == "status":
            self.status = message.header
        if message.header["kind"] == "refused":
            self.refused.append(message.header)
        return message

    def until(
        self, kind: str, fits: Callable[[dict[str, Any]], bool] = lambda header: True
    ) -> Message:
        while True:
            message = self.next()
            if message.header["kind"] == kind and fits(message.header):
                return message

    def ask(self, do: str, **fields: Any) -> list[Message]:
        """Ask for something and return all that comes until it is done."""
        given = {name: value for name, value in fields.items() if value is not None}
        known = {name: field.default for name, field in FIELDS[do].items()}
        assert self.session.submit(Command(do, known | given))
        return self._settle()

    def _settle(self) -> list[Message]:
        found = []
        while True:
            found.append(self.next())
            header = found[-1].header
            if header["kind"] == "status" and header["busy"] is None:
                if not header["running"] or header["running_to"] is None:
                    return found

    def digests(self) -> list[dict[str, Any]]:
        return [each.header for each in self.ask("digest") if each.header["kind"] == "digest"]

    def close(self) -> None:
        self._is_gone.set()
        self.session.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def column(messages: list[Message], name: str, lane: int = 0) -> np.ndarray:
    """Join a column of all frames of a lane."""
    parts = [
        each.arrays[name]
        for each in messages
        if each.header["kind"] == "frames" and each.header["lane"] == lane
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


@pytest.fixture
def viewer():
    """A page that shows the scenario `contagion` with seed 3."""
    opened: list[Viewer] = []

    def open_viewer(named: str | None = None, seed: int = 3) -> Viewer:
        catalogue = Catalogue(named)
        opened.append(Viewer(catalogue, Setup(catalogue.first, seed)))
        opened[-1]._settle()
        return opened[-1]

    yield open_viewer
    for each in opened:
        each.close()
