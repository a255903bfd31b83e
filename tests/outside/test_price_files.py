"""Files as they are published: each runs with one option at most, and is understood aright."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from marketsim.scenario.history import load_history
from marketsim.scenario.inspection import inspect_file
from marketsim.scenario.loader import parse_scenario
from marketsim.scenario.spot_model import History
from tests.cli.conftest import marketsim
from tests.outside.formats import PRICE_FORMATS, Format, binance_funding

__all__ = ["marketsim"]

Make = Callable[[], Format]

FORMATS = pytest.mark.parametrize("make", PRICE_FORMATS, ids=lambda make: make.__name__)


def put(made: Format, folder: Path) -> Path:
    file = folder / made.name
    file.write_bytes(made.content)
    return file


@FORMATS
def test_a_published_file_is_replayed_with_one_option_at_most(make: Make, tmp_path: Path) -> None:
    made = make()
    assert len(made.option) <= 1
    history = History(path=put(made, tmp_path), **made.option)  # type: ignore[arg-type]
    path = load_history(history, ["BTC"], 1.0)
    assert pd.Timestamp(path.start).floor("s") == pd.Timestamp(made.first, tz="UTC")
    assert path.price[0, 0] == made.closes[0]
    missing = [close for close in made.closes[:-1] if close not in path.price[:, 0]]
    assert missing == []


@FORMATS
def test_inspect_prints_a_scenario_that_replays_the_same_prices(make: Make, tmp_path: Path) -> None:
    made = make()
    history = History(path=put(made, tmp_path), **made.option)  # type: ignore[arg-type]
    found = inspect_file(history)
    scenario = parse_scenario(tomllib.loads(found.toml))
    assert list(scenario.markets) == [found.series[0].market]
    stated = scenario.spot.history
    assert stated is not None
    closes = stated.model_copy(update={"high": None, "low": None})
    path = load_history(closes, list(scenario.markets), scenario.step_minutes, scenario.num_steps)
    plain = load_history(history, ["BTC"], scenario.step_minutes, scenario.num_steps)
    assert path.start == plain.start
    assert path.price.tolist() == plain.price.tolist()
    load_history(stated, list(scenario.markets), scenario.step_minutes, scenario.num_steps)


@FORMATS
def test_inspect_says_what_was_understood(make: Make, tmp_path: Path, marketsim: Callable) -> None:
    made = make()
    file = put(made, tmp_path)
    options = [f"--set={name}={value}" for name, value in made.option.items()]
    done = marketsim("inspect", file, *options)
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert f"prices, {62 if make.__name__ == 'tardis' else 31} rows" in " ".join(
        said.split()
    )  # a long path wraps
    assert "they mark" in said
    assert f"{made.closes[0]:,.9g}" in said
    assert f"{made.closes[-1]:,.9g}" in said
    assert "[spot.history]" in said
    alone = marketsim("inspect", file, *options, "--toml").stdout
    assert said.endswith(alone)


def test_inspect_knows_the_coin_by_the_file(tmp_path: Path) -> None:
    names = {make.__name__: make() for make in PRICE_FORMATS}
    for name in ("binance_klines", "cryptodatadownload", "coingecko_csv", "freqtrade_json",
                 "freqtrade_feather", "yfinance", "tardis"):  # fmt: skip
        found = inspect_file(History(path=put(names[name], tmp_path)))
        assert found.series[0].market == "BTC", name


def test_columns_in_another_language_are_no_coins(tmp_path: Path, marketsim: Callable) -> None:
    made = next(make for make in PRICE_FORMATS if make.__name__ == "excel")()
    done = marketsim("inspect", put(made, tmp_path))
    assert done.exit_code == 2
    assert "no column is known to be the close; the file has Datum, Er" in done.stderr
    assert "set spot.history.close" in done.stderr
    assert "first lines as read:\n  Datum;" in done.stderr


def test_funding_is_understood_as_such(tmp_path: Path, marketsim: Callable) -> None:
    file = put(binance_funding(), tmp_path)
    done = marketsim("inspect", file)
    assert done.exit_code == 0, done.output
    assert "funding rates, 31 rows" in done.stdout
    assert "intervals of 8 h" in done.stdout
    scenario = parse_scenario(tomllib.loads(marketsim("inspect", file, "--toml").stdout))
    assert scenario.venue.funding.history == {"BTC": file}


def test_several_assets_become_several_markets(tmp_path: Path) -> None:
    hours = pd.date_range("2024-01-01", periods=30, freq="h")
    long = tmp_path / "long.csv"
    rows = [f"{t},{s},{p + n}" for s, p in (("BTC-USD", 40000), ("ETH-USD", 2000))
            for n, t in enumerate(hours)]  # fmt: skip
    long.write_text("date,ticker,price\n" + "\n".join(rows))
    wide = tmp_path / "wide.csv"
    rows = [f"{t},{40000 + n},{2000 + n}" for n, t in enumerate(hours)]
    wide.write_text("Date,BTC,ETH\n" + "\n".join(rows))
    nested = tmp_path / "nested.csv"
    head = "Price,Close,Close,Open,Open\nTicker,BTC-USD,ETH-USD,BTC-USD,ETH-USD\nDate,,,,\n"
    rows = [f"{t},{40000 + n},{2000 + n},1,1" for n, t in enumerate(hours)]
    nested.write_text(head + "\n".join(rows))
    for file in (long, wide, nested):
        scenario = parse_scenario(tomllib.loads(inspect_file(History(path=file)).toml))
        assert list(scenario.markets) == ["BTC", "ETH"], file.name
        assert scenario.spot.history is not None
        for history in (scenario.spot.history, History(path=file)):
            path = load_history(history, ["BTC", "ETH"], 60.0)
            assert path.price[3].tolist() == [40003.0, 2003.0], file.name


@pytest.mark.slow
@pytest.mark.parametrize("make", [*PRICE_FORMATS, binance_funding], ids=lambda make: make.__name__)
def test_the_pasted_scenario_runs(make: Make, tmp_path: Path, marketsim: Callable) -> None:
    made = make()
    file = put(made, tmp_path)
    options = [f"--set={name}={value}" for name, value in made.option.items()]
    scenario = tmp_path / "pasted.toml"
    scenario.write_text(marketsim("inspect", file, *options, "--toml").stdout)
    done = marketsim("run", scenario, "--steps", "600", "--out", tmp_path / "r", "--quiet")
    assert done.exit_code == 0, done.output


def test_inspect_refuses_a_field_there_is_not(tmp_path: Path, marketsim: Callable) -> None:
    file = put(PRICE_FORMATS[0](), tmp_path)
    for text, said in (("decimals=,", "decimals"), ("decimal=;", "decimal")):
        done = marketsim("inspect", file, "--set", text)
        assert done.exit_code == 2
        assert f"--set {said}: " in done.stderr
