"""Users' own traders on the command line: found by file, and no step lost when they fail."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from marketsim.results.run import load_run

Cli = Callable[..., Result]

SCENARIO = """\
name = "mine"
days = 0.0625

[markets.BTC]
price = 100000.0
tick_size = 0.5
lot_size = 0.001

[populations.makers]
strategy = "maker"
count = 3
capital = 1e6

[populations.mine]
strategy = "traders.py:{name}"
count = 2
capital = 1e5
attention = 1.0
"""

TRADERS = """\
import marketsim


class Buyer(marketsim.Trader):
    share: float = 0.1

    def step(self):
        if self.size("BTC") == 0:
            self.buy("BTC", self.share * self.equity / self.model.mid_price("BTC"))


class Seller(marketsim.Strategy):
    def decide(self, market, traders):
        traders.market_order(-0.1, "BTC", where=traders.size[:, 0] == 0)


class Careless(marketsim.Trader):
    def step(self):
        if self.model.step_count >= 20:
            return 1 / 0


class Late(marketsim.Trader):
    def step(self):
        self.buy("BTC", float("nan"))
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a scenario of one of the traders above, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traders.py").write_text(TRADERS)

    def write(name: str) -> Path:
        file = tmp_path / "mine.toml"
        file.write_text(SCENARIO.format(name=name))
        return file

    return write


@pytest.mark.parametrize(("name", "side"), [("Buyer", 1), ("Seller", -1)])
def test_a_scenario_names_a_class_in_a_file(
    marketsim: Cli, mine: Callable[[str], Path], name: str, side: int
) -> None:
    done = marketsim("run", mine(name), "--json", "--quiet", "--out", "out")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["steps"] == 90
    accounts = load_run("out").accounts
    sizes = accounts[accounts["population"] == "mine"].filter(like="size_end_BTC")
    assert sizes.size == 2
    assert (sizes * side > 0).all(axis=None)


def test_parameters_come_from_the_command_line_too(
    marketsim: Cli, mine: Callable[[str], Path]
) -> None:
    wrong = "populations.mine.parameters.shaer=0.2"
    done = marketsim("run", mine("Buyer"), "--set", wrong)
    assert done.exit_code == 2
    assert "did you mean 'share'?" in done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [("Byuer", "did you mean 'Buyer'?"), ("marketsim", "must be a class made from")],
)
def test_a_class_that_is_not_there_is_bad_input(
    marketsim: Cli, mine: Callable[[str], Path], name: str, text: str
) -> None:
    done = marketsim("run", mine(name))
    assert done.exit_code == 2
    assert text in done.stderr
    assert not Path("runs").exists()


def test_a_trader_that_fails_ends_the_run_and_keeps_the_steps_done(
    marketsim: Cli, mine: Callable[[str], Path]
) -> None:
    done = marketsim("run", mine("Careless"), "--out", "out")
    assert done.exit_code == 1
    assert not done.stdout
    (said,) = [line for line in done.stderr.splitlines() if "ZeroDivisionError" in line]
    run = load_run("out")
    steps = run.summary["steps"]
    assert said.startswith(f"failed: step {steps}: populations.mine (Careless), account ")
    assert "ZeroDivisionError: division by zero (traders.py:20)" in said
    assert str(Path("out").resolve()) in said
    assert "Traceback" not in done.output
    assert steps >= 20
    assert len(run.steps) == steps


def test_the_steps_kept_are_those_of_the_run_that_does_not_fail(
    marketsim: Cli, mine: Callable[[str], Path]
) -> None:
    marketsim("run", mine("Careless"), "--out", "failed")
    steps = load_run("failed").summary["steps"]
    marketsim("run", mine("Careless"), "--steps", 20, "--out", "whole")
    kept, whole = load_run("failed").markets, load_run("whole").markets
    assert steps >= 20
    assert kept[kept["step"] < 20].equals(whole)


def test_a_trader_that_fails_at_once_says_so(marketsim: Cli, mine: Callable[[str], Path]) -> None:
    done = marketsim("run", mine("Late"), "--set", "populations.mine.attention=0.01")
    assert done.exit_code == 1
    assert "size nan for BTC: must be a finite number" in done.stderr
