"""What the shipped scenarios are for: herding, funding cycles, contagion, carry and its end.

Every figure is over fixed seeds; bounds are those of the project's claims, and a difference has to
stand clear of its own standard error over the seeds.
"""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from marketsim.agents import herd
from marketsim.results.risk import population_risk
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.study.bands import shipped_bands
from marketsim.study.observed import observe_result
from marketsim.study.validation import check_bands
from marketsim.tape.result import RunResult
from tests.verification.quiet import QUIET

pytestmark = pytest.mark.slow


def run(name: str, seed: int, *changes: tuple[str, str], shocks: bool = True) -> RunResult:
    scenario = load_scenario(name, [*QUIET, *changes])
    if not shocks:
        scenario = scenario.model_copy(update={"shocks": ()})
    simulation = Simulation(scenario, seed)
    simulation.run(simulation.num_steps)
    return simulation.result()


def interval(values: Iterable[float]) -> tuple[float, float]:
    """Mean over seeds with 1.96 standard errors either side."""
    found = np.array(list(values))
    half = 1.96 * found.std(ddof=1) / math.sqrt(len(found))
    return found.mean() - half, found.mean() + half


def open_interest(result: RunResult, t: int) -> np.ndarray:
    """Notional at the end of step t, atoms."""
    row = result.series[t]
    return row["open_interest"] * row["mark_ticks"] * result.tick_atoms


def liquidated_share(result: RunResult, first: int, last: int) -> np.ndarray:
    """Notional liquidated in steps first to last - 1 over the open interest before them."""
    sold = result.series["liquidated_atoms"][first:last].sum(axis=0)
    return sold / open_interest(result, first - 1)


# ---------------------------------------------------------------- an ordinary quarter


def test_calm_looks_like_a_real_market():
    """90 days of three seeds: on average, the bands of `marketsim validate calm` hold.

    But one: more settlements are at the interest rate than in calendar years of real markets. They
    are no more than in some real windows of 90 days.
    """
    changes = [("days", "90"), ("record.contagion_minutes", "60")]
    calm = [run("calm", seed, *changes) for seed in range(3)]
    found = [check_bands(observe_result(result)) for result in calm]
    decided = [same for same in zip(*found, strict=True) if same[0].passed is not None]
    means = {same[0].figure: np.mean([check.value for check in same]) for same in decided}
    missed = {figure.name for figure, mean in means.items() if not figure.low < mean < figure.high}
    assert missed <= {"funding_at_interest"}
    pinned = next(mean for figure, mean in means.items() if figure.name == "funding_at_interest")
    window = shipped_bands().of["funding.share_at_1bp"]
    assert window.min < pinned < window.max
    assert len(means) == 10
    assert "reproduction_on_paper" in {figure.name for figure in means}


# ---------------------------------------------------------------- contagion


def excess(name: str, seed: int) -> float:
    """Liquidated share of GOLD and OIL in the 12 hours after BTC's fall, less that without it."""
    struck, spared = (run(name, seed, shocks=shocks) for shocks in (True, False))
    change = liquidated_share(struck, 720, 1440) - liquidated_share(spared, 720, 1440)
    return float(change[1:].mean())


def test_a_shock_spreads_through_pooled_accounts_and_not_through_isolated_ones():
    cross = np.array([excess("contagion", seed) for seed in range(12)])
    isolated = np.array([excess("contagion-isolated", seed) for seed in range(12)])
    low, high = interval(cross)
    print(f"contagion: excess {cross.mean():.3f} [{low:.3f}, {high:.3f}]")
    assert low > 0.10
    low, high = interval(isolated)
    print(f"contagion-isolated: excess {isolated.mean():.4f} [{low:.4f}, {high:.4f}]")
    assert high < 0.02
    assert interval(isolated - cross / 5.0)[1] < 0.0


# ---------------------------------------------------------------- herding


def mean_index(num_traders: int, independence: float, dial: float) -> float:
    """E|2X/N - 1| in the stationary law of the kernel's rates with U = -phi (2X/N - 1)."""
    rates = np.zeros(1, herd.Herd.dtype()).view(np.recarray)[0]
    rates.up = rates.down = 1e-6
    rates.herding = 1e-6 / independence
    phi = dial * herd.critical_field(num_traders, independence)
    count = np.arange(num_traders + 1)
    up, down = np.zeros(len(count)), np.zeros(len(count))
    for x in count:
        field = -phi * (2.0 * x / num_traders - 1.0)
        for opinion, rate, who in ((-1.0, up, num_traders - x), (1.0, down, x)):
            long, short = float(x), float(num_traders - x)
            chance = herd.switch_probability(rates, opinion, long, short, field, 1.0)
            rate[x] = who * chance
    law = np.concatenate([[1.0], np.cumprod(up[:-1] / down[1:])])
    return float(law @ np.abs(2.0 * count / num_traders - 1.0) / law.sum())


def test_herding_rises_through_the_critical_point_as_the_closed_form_says():
    steps = (("step_minutes", "5"), ("record.series_minutes", "5"))
    burn_in = 10 * 288
    found = {}
    for dial in (0.0, 1.0, 4.0):
        change = ("populations.crowd.parameters.anti_herding", str(dial))
        # The last has no closed form to meet, and lies far below the others.
        seeds = range(12 if dial < 4.0 else 4)
        runs = [run("herding", seed, change, *steps) for seed in seeds]
        series = [np.abs(one.series["herd_index"][burn_in:]).mean(axis=0) for one in runs]
        found[dial] = np.concatenate(series)  # a crowd of its own per market and seed
        print(
            f"dial {dial}: {found[dial].mean():.3f}, closed form {mean_index(100, 0.2, dial):.3f}"
        )
    error = {dial: each.std(ddof=1) / math.sqrt(len(each)) for dial, each in found.items()}
    for dial in (0.0, 1.0):
        off = abs(found[dial].mean() - mean_index(100, 0.2, dial))
        assert off < max(4.0 * error[dial], 0.03)
    for above, below in ((0.0, 1.0), (1.0, 4.0)):
        fall = found[above].mean() - found[below].mean()
        assert fall > 3.0 * math.hypot(error[above], error[below])


# ---------------------------------------------------------------- funding


def test_eight_hourly_funding_cycles_from_cap_to_cap_and_hourly_less_so():
    cap = 0.0075
    for seed in range(3):
        slow = run("funding-cycle", seed)
        fast = run("funding-cycle", seed, ("venue.funding.interval_hours", "1"))
        for m in range(3):
            rates = [one.funding["rate"][one.funding["market"] == m] for one in (slow, fast)]
            at_cap = [float(np.mean(np.abs(rate) > 0.999 * cap)) for rate in rates]
            assert at_cap[0] > 0.5
            assert at_cap[1] < 0.2 * at_cap[0]
            # There and back: the sign changes at most settlements.
            assert np.mean(np.diff(np.sign(rates[0])) != 0) > 0.5
            assert rates[1].std() < 0.7 * rates[0].std()
            premium = [one.series["premium"][:, m].std() for one in (slow, fast)]
            assert premium[1] < 0.8 * premium[0]


# ---------------------------------------------------------------- carry


def carry_risk(result: RunResult) -> dict[str, float | None]:
    figures = population_risk(result)[result.population_names.index("carry")]
    print({name: None if value is None else round(value, 3) for name, value in figures.items()})
    return figures


def test_carry_earns_in_calm_and_loses_in_the_squeeze_although_hedged():
    until = ("days", "10")  # three after it
    liquidated = hedged = 0
    shares = []  # where coins back nothing: the haircut is 1
    for seed in range(3):
        usual = carry_risk(run("ordinary", seed))
        assert usual["sharpe_gross"] > 3.0
        assert usual["total_return"] > 0.0
        assert usual["ruined_share"] == 0.0
        squeeze = run("carry-unwind", seed, until, ("record.snapshot_minutes", "10"))
        figures = carry_risk(squeeze)
        assert figures["total_return"] < 0.0
        assert figures["liquidated_share"] > 0.0
        shares.append(figures["liquidated_share"])
        assert figures["max_drawdown"] > 3.0 * usual["max_drawdown"]
        own = squeeze.population == squeeze.population_names.index("carry")
        rows = squeeze.liquidation[own[squeeze.liquidation["account"]]]
        for row in rows:
            before = [moment for step, moment in squeeze.snapshots if step <= row["step"]][-1]
            liquidated += 1
            short = -before.size[row["account"], row["market"]]
            hedged += before.spot[row["account"], row["market"]] >= 0.9 * short > 0
    print(f"carry: {hedged} of {liquidated} liquidation orders struck a hedged position")
    assert hedged > 0.5 * liquidated
    safe = run("carry-unwind", 0, until, ("venue.margin.spot_haircut", "0.1"))
    assert carry_risk(safe)["liquidated_share"] < shares[0]


# ---------------------------------------------------------------- crashes and collateral


def test_a_mark_that_follows_the_last_trade_spirals():
    after = 36 * 60
    until = ("days", "1.625")  # three hours after it
    found = {}
    for rule in ("last", "index"):
        runs = [run("mark-spiral", seed, ("venue.mark.rule", rule), until) for seed in range(10)]
        found[rule] = np.array([liquidated_share(one, after, after + 180).mean() for one in runs])
        print(f"mark {rule}: {found[rule].mean():.3f} of open interest in three hours")
    assert interval(found["last"] - 2.0 * found["index"])[0] > 0.0


def test_a_depeg_liquidates_without_a_move_of_the_index():
    counts = []
    for seed in range(3):
        struck, spared = (run("depeg", seed, shocks=shocks) for shocks in (True, False))
        assert np.array_equal(struck.series["index_price"], spared.series["index_price"])
        after = [one.liquidation[one.liquidation["step"] >= 48 * 60] for one in (struck, spared)]
        counts.append([len(np.unique(rows["account"])) for rows in after])
        sides = [np.unique(after[0]["account"][after[0]["size_before"] * s > 0]) for s in (1, -1)]
        assert min(len(accounts) for accounts in sides) > 5
    struck, spared = np.array(counts).T
    print(f"depeg: {struck} accounts liquidated against {spared}")
    assert (struck > 1.5 * spared).all()
    assert struck.sum() > 2.0 * spared.sum()


def test_october_10_in_outline():
    start, hours = 30 * 60, 6 * 60
    figures = []
    for seed in range(5):
        result = run("october-10", seed, ("days", "1.875"))
        rows = result.liquidation
        rows = rows[(rows["step"] >= start) & (rows["step"] < start + hours)]
        closed = np.abs(rows["size_before"] - rows["size_after"]) * rows["mark_ticks"]
        closed = closed * result.tick_atoms[rows["market"]]
        adl = result.steps["adl_atoms"][start + hours - 1] - result.steps["adl_atoms"][start - 1]
        contracts = result.series["open_interest"]
        price = result.series["mark_ticks"][start - 1] * result.tick_atoms
        figures.append(
            [
                adl / closed.sum(),
                closed[rows["size_before"] > 0].sum() / closed.sum(),
                closed[rows["step"] < start + 40].sum() / closed.sum(),
                1.0 - contracts[start + hours] @ price / (contracts[start - 1] @ price),
            ]
        )
        assert np.isin(result.deleverage["market"], rows["market"]).all()
    adl, long, early, gone = np.array(figures).mean(axis=0)
    print(
        f"october-10: deleveraged {adl:.2f} (.38), long {long:.2f} (.84), early {early:.2f} (.7), "
        f"open interest gone {gone:.2f} (.25-.5)"
    )
    assert 0.2 < adl < 0.6
    assert 0.7 < long < 0.95
    assert 0.6 < early < 0.95
    assert 0.25 < gone < 0.5
