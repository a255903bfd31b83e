"""A warm-up that runs share: what begins from its file leaves what the run alone does."""

from pathlib import Path
from typing import Any

import pytest

from marketsim import PerpMarket
from marketsim.run.shared_warm_up import felt, may_share, open_warmed
from marketsim.run.simulation import Simulation
from marketsim.scenario.inputs import InputChangedError, InputLog, scenario_inputs
from marketsim.scenario.schema import Scenario
from tests.run.test_room import history
from tests.run.test_simulation import CRASH
from tests.run.test_turnover import lively
from tests.slow import slow

SEED = 1
RECORD = {
    "warm_up": 2.0,
    "fills": True,
    "depth_minutes": 60.0,
    "book_minutes": 120.0,
    "snapshot_minutes": 60.0,
    "reproduction_hours": 2.0,
    "reproduction_draws": 2,
}
#: All kinds, from the record's first step on.
SHOCKS = [
    CRASH,
    {"kind": "jump", "at": 0.0, "size": 0.02},
    {"kind": "volatility", "at": 0.0, "factor": 3.0, "minutes": 60.0},
    {"kind": "depth", "at": 0.5, "factor": 0.3, "minutes": 60.0},
    {
        "kind": "outage",
        "at": 1.0,
        "minutes": 20.0,
        "source": "first",
        "mode": "wrong",
        "factor": 0.9,
    },
    {"kind": "depeg", "at": 0.2, "size": -0.05},
    {"kind": "rule", "at": 0.0, "field": "venue.funding.interval_hours", "value": 0.1},
]
INTERVENTIONS = [
    {"kind": "deposit", "at_step": 0, "account": 3, "usd": 1000.0},
    {"kind": "trade", "at_step": 0, "account": 3, "market": "ONE", "size": 2.0},
    {"kind": "retire", "at_step": 1, "account": 5},
    {
        "kind": "set",
        "at_step": 0,
        "path": "populations.holder.margin_mode",
        "value": "isolated",
        "share": 0.5,
    },
    {"kind": "set", "at_step": 2, "path": "populations.noise.leverage", "value": 2.0},
    {"kind": "set", "at_step": 0, "path": "venue.funding.interval_hours", "value": 0.5},
    {"kind": "jump", "at_step": 0, "size": -0.1},
]
OWN = """\
import marketsim

class Own(marketsim.Strategy):
    def decide(self, market, traders):
        pass
"""
PLANS: dict[str, dict[str, Any]] = {
    "nothing": {"shocks": [], "interventions": []},
    "shocks": {"name": "other", "description": "with shocks", "shocks": SHOCKS},
    "interventions": {"shocks": [CRASH], "interventions": INTERVENTIONS},
}


def warm(plan: str = "shocks", **tables: Any) -> Scenario:
    """Six hours after two, in which much may happen, with all that can be recorded."""

    given = {"record": RECORD, "name": "small", **PLANS[plan], **tables}
    return lively(**given)


def left(run: Simulation) -> tuple[Any, ...]:
    """Run to the end and return all that is said of it."""
    run.run(run.num_steps)
    result = run.result()
    return run.digest(), result.scenario, result.scenario_text, result.notes, result.inputs


@pytest.fixture(scope="module")
def alone() -> dict[str, tuple[Any, ...]]:
    return {plan: left(Simulation(warm(plan), SEED)) for plan in PLANS}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the step count of every run that begins to warm up."""
    begun: list[int] = []
    original = Simulation.let_warm_up

    def let_warm_up(run: Simulation, *arguments: Any) -> None:
        begun.append(run.step_count)
        original(run, *arguments)

    monkeypatch.setattr(Simulation, "let_warm_up", let_warm_up)
    return begun


@pytest.mark.parametrize("maker", ["shocks", *slow(plan for plan in PLANS if plan != "shocks")])
def test_a_run_from_another_s_warm_up_leaves_what_it_leaves_alone(
    alone: dict[str, tuple[Any, ...]], counted: list[int], tmp_path: Path, maker: str
) -> None:
    assert len({digest for digest, *_ in alone.values()}) == len(PLANS)
    file = tmp_path / "warm"
    made = open_warmed(warm(maker), SEED, file)
    others = {plan: open_warmed(warm(plan), SEED, file) for plan in PLANS}
    assert counted == [-120]
    assert left(made) == alone[maker]
    assert {plan: left(run) for plan, run in others.items()} == alone


def test_a_market_from_a_price_file_shares_too(counted: list[int], tmp_path: Path) -> None:
    base = history(tmp_path, 120, "brownian")
    record = base.record.model_copy(update={"warm_up": 2.0})
    scenarios = [
        base.model_copy(update={"record": record, "shocks": warm(plan).shocks}) for plan in PLANS
    ]
    expected = [left(Simulation(each, SEED)) for each in scenarios]
    counted.clear()
    found = [left(open_warmed(each, SEED, tmp_path / "warm")) for each in scenarios]
    assert found == expected
    assert len(counted) == 1


def test_a_price_file_that_has_changed_since_is_refused_and_not_read_from_a_warm_up(
    tmp_path: Path,
) -> None:
    base = history(tmp_path, 120, "linear")
    record = base.record.model_copy(update={"warm_up": 2.0})
    given = base.model_copy(update={"record": record})
    planned = scenario_inputs(given, {})
    open_warmed(given, SEED, tmp_path / "warm")
    prices = tmp_path / "prices.csv"
    prices.write_text(prices.read_text().replace("2025", "2024"))
    with pytest.raises(InputChangedError, match="has changed"), InputLog(planned, "before"):
        open_warmed(given, SEED, tmp_path / "warm")


@pytest.mark.parametrize(
    "how", ["flipped", "folder", *slow(["cut", "longer", "empty", "other", "length"])]
)
def test_a_damaged_file_is_made_again(
    alone: dict[str, tuple[Any, ...]], counted: list[int], tmp_path: Path, how: str
) -> None:
    file = tmp_path / "warm"
    open_warmed(warm(), SEED, file)
    whole = file.read_bytes()
    ways = {
        "flipped": whole[:-2000] + bytes([whole[-2000] ^ 1]) + whole[-1999:],
        "cut": whole[:-1],
        "longer": whole + b"0",
        "empty": b"",
        "other": b"PAR1" + whole,
        "length": whole.replace(b"\n000", b"\n999", 1),
    }
    assert whole not in ways.values()
    file.unlink()
    if how == "folder":
        file.mkdir()
    else:
        file.write_bytes(ways[how])
    assert left(open_warmed(warm("nothing"), SEED, file)) == alone["nothing"]
    assert len(counted) == 2
    assert left(open_warmed(warm(), SEED, file)) == alone["shocks"]
    assert len(counted) == (3 if how == "folder" else 2)


@pytest.mark.parametrize("what", ["seed", "market", *slow(["rules", "record", "later", "touched"])])
def test_a_file_of_something_else_is_made_again(
    alone: dict[str, tuple[Any, ...]], counted: list[int], tmp_path: Path, what: str
) -> None:
    file = tmp_path / "warm"
    funds = {"insurance_fund": 5.0} if what == "rules" else {}
    record = {"record": {**RECORD, "fills": False}} if what == "record" else {}
    other = Simulation(warm(**funds, **record), 2 if what == "seed" else SEED)
    if what == "later":
        other.run(1)
    if what == "touched":
        other.deposit(0, 1.0)
    if what == "market":
        PerpMarket(warm(), SEED).save(file)
    else:
        other.save(file)
    counted.clear()
    assert left(open_warmed(warm(), SEED, file)) == alone["shocks"]
    assert len(counted) == 1


def test_what_a_warm_up_may_feel_is_all_but_wording_and_what_is_to_come() -> None:
    same = [warm(plan, seed=number) for number, plan in enumerate(PLANS)]
    assert len({felt(each) for each in same}) == 1
    turned = dict(reversed(list(lively().model_dump(exclude_none=True)["populations"].items())))
    others = [
        warm(days=0.5),
        warm(record={**RECORD, "warm_up": 1.0}),
        warm(record={**RECORD, "fills": False}),
        warm(insurance_fund=5.0),
        warm(venue={"funding": {"interval_hours": 4.0}}),
        warm(populations=turned),
    ]
    assert len({felt(each) for each in (warm(), *others)}) == 1 + len(others)


def test_who_has_no_warm_up_or_traders_of_a_user_s_own_does_not_share(tmp_path: Path) -> None:
    assert may_share(warm())
    assert not may_share(warm(record={}))
    (tmp_path / "own.py").write_text(OWN)
    populations = lively().model_dump(exclude_none=True)["populations"]
    own = populations["noise"] | {"strategy": f"{tmp_path / 'own.py'}:Own", "parameters": {}}
    assert not may_share(warm(populations={**populations, "own": own}))


def test_where_its_folder_is_missing_no_file_is_made(tmp_path: Path) -> None:
    assert open_warmed(warm(), SEED, tmp_path / "gone" / "warm").step_count == 0
    assert not (tmp_path / "gone").exists()
