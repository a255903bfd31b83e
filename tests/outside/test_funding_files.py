"""Real funding rates: read as exchanges publish them, charged to a portfolio, paid by a run."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from marketsim import InterventionError, ScenarioError, Simulation, load_run, load_simulation
from marketsim.scenario.funding_file import read_rates
from marketsim.scenario.history import HistoryError
from marketsim.scenario.loader import load_scenario, parse_scenario
from tests.cli.conftest import marketsim
from tests.outside.formats import binance_funding

__all__ = ["marketsim"]

TIMES = pd.date_range("2025-01-01 08:00", periods=6, freq="8h", tz="UTC")
RATES = [0.0001, -0.0002, 0.0003, 0.0005, 0.0, 0.0001]
MS = [int(time.timestamp() * 1000) for time in TIMES]


def rows(show: Callable[[int, float], str], header: str) -> str:
    lines = [show(n, rate) for n, rate in enumerate(RATES)]
    return "\n".join([header, *lines]) + "\n"


#: Name -> text, rates per 8 h.
READ: dict[str, tuple[str, list[float]]] = {
    "Binance": (
        rows(lambda n, r: f"{MS[n] + n},8,{r:.8f}",
             "calc_time,funding_interval_hours,last_funding_rate"), RATES,
    ),
    "Binance, four hours": (
        rows(lambda n, r: f"{MS[n]},4,{r:.8f}",
             "calc_time,funding_interval_hours,last_funding_rate"), [2 * r for r in RATES],
    ),
    "Bybit, newest first": (
        "symbol,fundingRate,fundingRateTimestamp\n"
        + "".join(f"BTCUSDT,{RATES[n]},{MS[n]}\n" for n in range(5, -1, -1)), RATES,
    ),
    "BitMEX": (
        rows(lambda n, r: f"{TIMES[n]:%Y-%m-%dT%H:%M:%S.000Z},XBTUSD,2000-01-01T08:00:00.000Z,{r}",
             "timestamp,symbol,fundingInterval,fundingRate"), RATES,
    ),
    "several contracts": (
        rows(lambda n, r: f"{MS[n]},BTCUSDT,{r}\n{MS[n]},ETHUSDT,0.5", "time,symbol,fundingRate"),
        RATES,
    ),
    "ccxt": (
        json.dumps([{"symbol": "BTC/USDT:USDT", "fundingRate": r, "timestamp": t, "datetime": "x"}
                    for t, r in zip(MS, RATES, strict=True)]), RATES,
    ),
    "percent": (rows(lambda n, r: f"{MS[n]},{100 * r:.4f}%", "time,funding_rate"), RATES),
    "a row twice": (rows(lambda n, r: f"{MS[n]},{r}\n{MS[n]},{r}", "time,funding_rate"), RATES),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_rates_are_read_per_eight_hours(tmp_path: Path, case: str) -> None:
    text, rates = READ[case]
    (tmp_path / "f.csv").write_text(text)
    found = read_rates(tmp_path / "f.csv", "BTC", "x")
    assert found.rate.tolist() == pytest.approx(rates, rel=1e-15, abs=1e-18)
    assert found.time.tolist() == [1_000_000 * time for time in MS]


REFUSED = {
    "no rates": ("time,close\n1735689600000,3\n", "no column holds funding rates; the file"),
    "no times": ("rate,funding_rate\n0.1,0.1\n0.2,0.2\n", "no column holds times"),
    "too large": (f"time,funding_rate\n{MS[0]},0.1\n{MS[1]},3\n", "row 2.*3 is not a rate between"),
    "two for a time": (f"time,funding_rate\n{MS[0]},0.1\n{MS[0]},0.2\n", "two rates for 2025-01"),
    "one alone": (f"time,funding_rate\n{MS[0]},0.1\n", "no column of its interval's hours"),
    "another coin": (
        rows(lambda n, r: f"{MS[n]},ETHUSDT,{r}", "time,symbol,funding_rate"),
        "no row is of BTC; the file has ETHUSDT",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_holds_no_rates_is_refused(tmp_path: Path, case: str) -> None:
    text, said = REFUSED[case]
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(HistoryError, match=said):
        read_rates(tmp_path / "f.csv", "BTC", "x")


PORTFOLIO = """
[markets.BTC]
price = 100.0
tick_size = 0.01
lot_size = 0.01

[markets.ETH]
price = 10.0
tick_size = 0.01
lot_size = 0.01

[collateral]
cash = 50.0

[positions.BTC]
size = 1.0

[positions.ETH]
size = -2.0
"""


@pytest.fixture
def portfolio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "p.toml"
    file.write_text(PORTFOLIO)
    (tmp_path / "btc.csv").write_text(READ["Binance"][0])
    return file


def test_stress_charges_the_rates_of_a_file(portfolio: Path, marketsim: Callable) -> None:
    done = marketsim("stress", portfolio, "--funding", "BTC=btc.csv", "--mode", "cross", "--json")
    assert done.exit_code == 0, done.output
    cost = json.loads(done.stdout)["funding"][0]
    assert cost["days"] == 2.0
    assert cost["num_settlements"] == 6
    # 1 BTC of 100 USD: 100 x (1 - 2 + 3 + 5 + 0 + 1) / 10,000
    assert cost["paid_usd"] == {"BTC": pytest.approx(0.08), "ETH": 0.0}


def test_stress_takes_files_and_rates_together(portfolio: Path, marketsim: Callable) -> None:
    options = ["--funding", "BTC=btc.csv", "--funding", "ETH=0.1%", "--days", "1"]
    done = marketsim("stress", portfolio, *options, "--mode", "cross", "--json")
    assert done.exit_code == 0, done.output
    cost = json.loads(done.stdout)["funding"][0]
    # a short receives: 20 USD x 0.001 x 3
    assert cost["paid_usd"] == {"BTC": pytest.approx(0.02), "ETH": pytest.approx(-0.06)}


def test_stress_charges_whole_months_as_published(portfolio: Path, marketsim: Callable) -> None:
    made = binance_funding()
    (portfolio.parent / made.name).write_bytes(made.content)
    options = ["--funding", f"BTC={made.name}", "--mode", "cross", "--json"]
    cost = json.loads(marketsim("stress", portfolio, *options).stdout)["funding"][0]
    assert cost["num_settlements"] == 31
    assert cost["paid_usd"]["BTC"] == pytest.approx(100 * sum(made.closes))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--funding", "btc.csv"], "say of which market: BTC=btc.csv"),
        (["--funding", "BTC=no.csv"], r"no.csv: there is no such file"),
        (["--funding", "SOL=btc.csv"], "SOL"),
        (["--funding", "BTC=btc.csv", "--days", "3"], "days 3: the funding files have 2"),
        (["--funding", "BTC=0,01%"], "must read MARKET=NUMBER%"),
    ],
)
def test_stress_says_what_is_wrong_with_a_file(
    portfolio: Path, marketsim: Callable, options: list[str], said: str
) -> None:
    done = marketsim("stress", portfolio, *options)
    assert done.exit_code == 2
    assert said in done.stderr


RUN = """
name = "paid"
days = 1.5

[markets.BTC]
tick_size = 0.01
lot_size = 0.01

[markets.ETH]
price = 10.0
tick_size = 0.01
lot_size = 0.01

[populations.makers]
strategy = "maker"
count = 2

[populations.holders]
strategy = "holder"
count = 5

[venue.funding]
interval_hours = 8
"""


def scenario_of(folder: Path, **tables: Any) -> Any:
    data = tomllib.loads(RUN)
    data["markets"]["BTC"]["price"] = 100.0
    data["venue"]["funding"] |= {"history": {"BTC": str(folder / "btc.csv")}} | tables
    return data


def test_a_run_pays_the_rates_of_the_file_and_others_their_own(portfolio: Path) -> None:
    run = Simulation(parse_scenario(scenario_of(portfolio.parent)), 1)
    run.run(run.num_steps)
    funding = run.result().funding
    assert funding["rate"][funding["market"] == 0].tolist() == RATES[:4]
    own = Simulation(parse_scenario(scenario_of(portfolio.parent, history={})), 1)
    own.run(480)
    first = own.result().funding
    assert first["rate"][first["market"] == 1][0] == funding["rate"][1]
    assert any("BTC pays the funding rates of btc.csv" in note for note in run.notes)


def test_a_replayed_run_pays_the_rate_of_the_hour(portfolio: Path, marketsim: Callable) -> None:
    hours = pd.date_range("2025-01-01 03:00", periods=40, freq="h", tz="UTC")
    prices = "".join(
        f"{t:%Y-%m-%dT%H:%M:%SZ},{100 + n % 3},{10 + n % 2}\n" for n, t in enumerate(hours)
    )
    (portfolio.parent / "prices.csv").write_text("time,BTC,ETH\n" + prices)
    text = RUN.replace("price = 10.0\n", "").replace("days = 1.5", "days = 1")
    text += '[venue.funding.history]\nBTC = "btc.csv"\n[spot]\nkind = "history"\n'
    text += '[spot.history]\npath = "prices.csv"\n'
    (portfolio.parent / "run.toml").write_text(text)
    done = marketsim("run", "run.toml", "--out", "r", "--quiet")
    assert done.exit_code == 0, done.output
    funding = load_run("r").funding
    paid = funding[funding["market"] == "BTC"]
    assert paid["funding_rate"].tolist() == RATES[:3]
    assert [f"{t:%d %H}" for t in paid["time"]] == ["01 08", "01 16", "02 00"]
    inputs = {Path(each.name).name for each in load_run("r").inputs}
    assert {"btc.csv", "prices.csv"} <= inputs


def test_a_run_refuses_rates_it_cannot_pay(portfolio: Path) -> None:
    with pytest.raises(HistoryError, match=r"paid funding every 8 h, the run every 1 h: set venue"):
        Simulation(parse_scenario(scenario_of(portfolio.parent, interval_hours=1)), 1)
    with pytest.raises(HistoryError, match=r"no funding rate of BTC for 2025-01-03 00:01 UTC"):
        Simulation(parse_scenario(scenario_of(portfolio.parent) | {"days": 3}), 1)
    with pytest.raises(ScenarioError, match=r"venue\.funding\.history\.SOL"):
        parse_scenario(scenario_of(portfolio.parent, history={"SOL": "btc.csv"}))


def test_a_longer_run_reads_more_rates(portfolio: Path) -> None:
    short = Simulation(parse_scenario(scenario_of(portfolio.parent) | {"days": 0.5}), 1)
    short.run(720)
    short.run(1440, extend=True)
    whole = Simulation(parse_scenario(scenario_of(portfolio.parent)), 1)
    whole.run(2160)
    assert short.digest() == whole.digest()
    with pytest.raises(HistoryError, match="no funding rate of BTC"):
        short.run(2880, extend=True)


def test_a_copy_and_a_saved_run_pay_on(portfolio: Path) -> None:
    run = Simulation(parse_scenario(scenario_of(portfolio.parent)), 1)
    run.run(700)
    run.save("half.market")
    again = load_simulation("half.market")
    run.run(1460)
    again.run(1460)
    assert run.digest() == again.digest()
    (portfolio.parent / "btc.csv").write_text(READ["Binance"][0].replace("0.00030000", "0.0004"))
    with pytest.raises(Exception, match=r"btc\.csv: the funding file has changed"):
        load_simulation("half.market")


def test_given_rates_act_when_a_run_starts_only(portfolio: Path) -> None:
    run = Simulation(load_scenario("quickstart"), 1)
    with pytest.raises(InterventionError, match="acts only when a market starts"):
        run.set("venue.funding.history", {"BTC": str(portfolio.parent / "btc.csv")})
