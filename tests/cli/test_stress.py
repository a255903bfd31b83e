"""``marketsim stress``: what it prints, and what it must refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Cli = Callable[..., Result]

PORTFOLIO = """\
name = "two longs"

[markets.BTC]
price = 100_000.0
tick_size = 0.1
lot_size = 0.001
max_leverage = 10.0
maintenance_margin_fraction = 0.05

[markets.ETH]
price = 4_000.0
tick_size = 0.01
lot_size = 0.01
max_leverage = 10.0
maintenance_margin_fraction = 0.05

[collateral]
cash = 40_000.0

[positions.BTC]
size = 1.0
leverage = 5.0

[positions.ETH]
size = 25.0
leverage = 5.0
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "mine.toml").write_text(PORTFOLIO)
    return tmp_path / "mine.toml"


def test_modes_stand_side_by_side_in_80_columns(file: Path, marketsim: Cli) -> None:
    done = marketsim("stress", file, "--shock", "BTC=-20%", "--funding", "BTC=0.05%")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout
    lines = {line.split("  ")[0].strip(): line.split() for line in done.stdout.splitlines()}
    # cross: 40,000 + (p - 100,000) = 0.05 p + 0.05 x 100,000; isolated: 80,000 / 0.95
    assert lines["BTC +1"][2:] == ["100,000", "68,421", "84,210.5", "73,684.2"]
    assert lines["first liquidated"][2:] == ["nothing", "BTC", "nothing"]
    assert lines["total"][1:] == ["4,500.00", "4,500.00", "4,500.00"]


def test_json_is_one_object(file: Path, marketsim: Cli) -> None:
    done = marketsim("stress", file, "--shock", "BTC=-40%", "--mode", "cross", "--json")
    found = json.loads(done.stdout)
    (cross,) = found["modes"]
    # both limits lie equally far from the mark: the larger notional goes first
    assert [one["market"] for one in cross["seizures"]] == ["ETH", "BTC"]
    assert cross["seizures"][0]["prices"]["BTC"] == pytest.approx(68_421.0)
    assert found["funding"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shock", "DOGE=-20%"), "shock DOGE: no such market; must be one of BTC, ETH"),
        (("--shock", "BTC"), "--shock BTC: must read MARKET=NUMBER%"),
        (("--shock", "BTC=lots"), "must read MARKET=NUMBER%"),
        (("--shock", "BTC=20"), "without % it is a share, +2000 %; did you mean BTC=20%?"),
        (("--shock", "BTC=-20"), "did you mean BTC=-20%?"),
        (("--shock", "BTC=-120%"), "must lie above -100 %"),
        (("--shock", "BTC=nan"), "must lie above -100 %"),
        (("--mode", "hedged"), 'mode "hedged": must be one of cross, isolated, partial'),
        (("--set", "venue.preset=binanse"), "venue.preset"),
        (("--funding", "DOGE=0.01%"), "funding DOGE: no such market"),
        (("--funding", "BTC=200%"), "must lie between -1 and 1"),
        (("--funding", "BTC=0.01%", "--days", "0"), "days 0"),
        (("--funding", "BTC=nan"), "must lie between -1 and 1"),
        (("--funding", "nowhere"), "nowhere: no such folder"),
        (("--days", "3"), "--days: states the days of --funding"),
        (("--path", "3"), "--path: says how --shock comes"),
        (("--set", "collateral.cash=9000"), "less than the 40,000.00 USD the positions hold"),
        (("--set", "markets.SOL.tick_size=0.1"), "markets.SOL"),
    ],
)
def test_bad_input_ends_with_a_sentence(
    file: Path, marketsim: Cli, arguments: tuple[str, ...], words: str
) -> None:
    done = marketsim("stress", file, *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_market_without_a_price_is_named(file: Path, marketsim: Cli) -> None:
    file.write_text(PORTFOLIO.replace("price = 4_000.0\n", ""))
    done = marketsim("stress", file)
    assert done.exit_code == 2
    assert "markets.ETH.price: missing; state the price now" in done.output


def test_a_portfolio_already_liquidatable_says_so_with_the_number(
    file: Path, marketsim: Cli
) -> None:
    # 40,000 + (80,000 - 120,000) = 0 of equity against 0.05 x 180,000 = 9,000
    file.write_text(PORTFOLIO.replace("100_000.0", "80_000.0"))
    done = marketsim(
        "stress",
        file,
        "--set",
        "positions.BTC.entry_price=120000",
        "--mode",
        "cross",
        "--set",
        "positions.BTC.leverage=10",
    )
    assert done.exit_code == 2
    assert "already liquidatable under cross margin" in done.output
    assert "0.00 USD of equity for 9,000.00 USD of maintenance margin" in done.output
    assert "9,000.00 USD too little" in done.output


def test_files_that_cannot_be_read_are_refused(file: Path, marketsim: Cli) -> None:
    file.write_text("cash = ")
    assert "not a TOML file" in marketsim("stress", file).output
    done = marketsim("stress", "none.toml")
    assert done.exit_code == 2
    assert "none.toml: cannot be read" in done.output
