"""Small finished runs to draw: of two markets and of one, a twin, one in which nothing happens."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marketsim.results.run import Run, load_run
from tests.account.conftest import JUMP, make_run

Make = Callable[..., Run]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Run the scenario with a jump, parts of its text replaced."""

    def run(*replacements: tuple[str, str]) -> Run:
        folder = tmp_path_factory.mktemp("drawn")
        text = JUMP
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        file = folder / "jump.toml"
        file.write_text(text)
        return load_run(make_run(file, folder / "run"))

    return run


@pytest.fixture(scope="session")
def two(make: Make) -> Run:
    return make()


@pytest.fixture(scope="session")
def one(make: Make) -> Run:
    """A run of one market."""
    start = JUMP.index("[markets.ETH]")
    end = JUMP.index("[populations.makers]")
    return make((JUMP[start:end], ""), ('["BTC", "ETH"]', '["BTC"]'))


@pytest.fixture(scope="session")
def twin(make: Make) -> Run:
    """The same seed and luck, every position in a pool of its own."""
    groups = JUMP[JUMP.index("[populations.holders.groups") : JUMP.index("[[shocks]]")]
    mode = "margin_mode = { cross = 0.4, isolated = 0.3, partial = 0.3 }"
    return make((groups, ""), (mode, 'margin_mode = "isolated"'))


@pytest.fixture(scope="session")
def quiet(make: Make) -> Run:
    """Half an hour in which nobody is liquidated and no funding settled."""
    return make(("days = 0.125", "days = 0.02083333333333333"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "figure.png"
