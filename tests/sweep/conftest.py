import tomllib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from marketsim.bench.sweep import TINY
from marketsim.sweep.design import Design, parse_design

GRID = """\
base = "tiny.toml"
replicates = 3

[parameters]
"populations.crowd.count" = [3, 5]
"venue.funding.interval_hours" = [1, 8]
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario file of 30 steps, in the current folder."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture
def design(tiny: Path) -> Callable[..., Design]:
    """Make a design over the tiny scenario: a grid of four cells, with some fields changed."""

    def make(text: str = GRID, **changes: Any) -> Design:
        return parse_design(tomllib.loads(text) | changes)

    return make


class Inline(Executor):
    """Runs calls at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@pytest.fixture
def inline() -> Inline:
    return Inline()
