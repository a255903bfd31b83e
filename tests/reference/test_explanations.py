"""What explains a run equals its plain version: causes, cascades, contagion figures.

Whole numbers are equal, fractions to 1e-12. Luck comes from the plain venue alone.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marketsim.contagion.attribution import tabulate_causes
from marketsim.contagion.exposure import measure_exposure
from marketsim.contagion.heatmap import measure_triggers
from marketsim.contagion.matrix import Contagion, ContagionMatrix, measure_contagion
from marketsim.contagion.recorder import contagion_figures
from marketsim.contagion.strikes import Strike, read_strikes
from marketsim.contagion.ties import cascade_figures
from marketsim.engine.state import ATOMS, LegRule, LimitRule, MarkRule, SizeRule
from marketsim.results.cascades import Cascade, dollar_matrix, find_cascades
from tests.reference import contagion
from tests.reference.arrays import state_of
from tests.reference.attribution import Seizure, explain
from tests.reference.cascades import (
    Links,
    Reason,
    Sale,
    Shock,
    figures,
    link,
    num_accounts,
    size_of,
)
from tests.reference.cascades import dollar_matrix as plain_dollar_matrix
from tests.reference.computed import (
    Computation,
    Measured,
    marks_after_steps,
    mean_products,
)
from tests.reference.crashes import Crash, crowded_venue
from tests.reference.engine import Engine, play
from tests.reference.scenarios import Scenario
from tests.reference.venue import Venue

NAMES = ("A", "B", "C")
SIDES = ("falls", "rises")
RUNS = [(kind, seed) for kind in (Scenario, Crash) for seed in range(40)]
#: Seeds of each kind that are played by the quick tests, too.
QUICK = 4
every_run = pytest.mark.parametrize(
    ("kind", "seed"),
    [
        pytest.param(
            *(kind, seed),
            id=f"{kind.__name__.lower()} {seed}",
            marks=[pytest.mark.slow] if seed >= QUICK else [],
        )
        for kind, seed in RUNS
    ],
)

#: Steps between two looks at the state, and the moves looked at in turn.
EVERY = 8
DELTAS = (0.01, 0.05, 0.2)

#: What must have happened in the scenarios, or their agreement would show little.
PHENOMENA = (
    *("index", "forced", "other", "funding", "fees", "collateral", "requirement", "gain"),
    *("one to blame", "several to blame", "too small to be named"),
    *("impacts made good", "impacts made good in part", "recovery less than the mid's move"),
    *("leg closed since the pool was safe", "chain of three", "cascade of several accounts"),
    *("shock", "loss elsewhere", "empty book", "sale on paper", "purchase on paper"),
    *("runaway", "trigger", "one liquidation more"),
)


@dataclass
class Look:
    """The state between two steps, measured by both."""

    delta: float
    found: ContagionMatrix
    expected: dict[str, contagion.Matrix]  #: with books that never refill
    recovery: list[float]  #: by market
    computed: dict[str, contagion.Matrix]  #: of one liquidation more
    triggers: list[tuple[dict[int, int], dict[int, int]]]  #: by market: found, expected


class Watched(Engine):
    """The engine, looked at now and then."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, records_causes=True)
        self.looks: list[Look] = []

    def settle(self) -> None:
        super().settle()
        if (self.venue.step + 1) % EVERY == 0:
            self.looks.append(self.look(DELTAS[len(self.looks) % len(DELTAS)]))

    def look(self, delta: float) -> Look:
        venue, state = self.venue, self.state
        names = NAMES[: len(venue.markets)]
        now = {"step": venue.step, "delta": delta, "reflexivity": 0.3}
        expected = [contagion.contagion_matrix(venue, 0.3, delta, falls) for falls in (True, False)]
        triggers = []
        for m, name in enumerate(names):
            chart = measure_triggers(state, names, name)
            found = dict(zip(chart.account.tolist(), chart.trigger.tolist(), strict=True))
            marks = {i: contagion.trigger(venue, i, m) for i in range(venue.fund)}
            triggers.append((found, {i: mark for i, mark in marks.items() if mark > 0}))
        matrix = measure_contagion(state, names, **now)
        recovery = [contagion.recovered(venue, m) for m in range(len(names))]
        measured = Measured(recovery, mean_products(marks_after_steps(venue)), reflexivity=0.3)
        plain = Computation(venue, measured)
        computed = {side: plain.matrix(falls=side == "falls") for side in SIDES}
        on_paper = dict(zip(SIDES, expected, strict=True))
        return Look(delta, matrix, on_paper, recovery, computed, triggers)


@dataclass
class Played:
    """A scenario played by both, with a schedule of shocks to blame."""

    engine: Watched
    seizures: list[Seizure]
    result: Any  #: what a run leaves, as far as explaining it needs
    shocks: list[Strike]
    sales: list[Sale] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def __post_init__(self) -> None:
        venue = self.engine.venue
        for number, seizure in enumerate(self.seizures):
            for n in seizure.rows:
                row = venue.liquidations[n]
                atoms = abs(row.size_before - row.size_after) * row.mark_ticks
                usd = atoms * venue.markets[row.market].tick_atoms / ATOMS
                self.sales.append(Sale(row.step, row.account, number, NAMES[row.market], usd))
                self.reasons += [
                    Reason(n, name_of(each.market), each.kind, each.parent, each.weight)
                    for each in seizure.causes
                ]


def name_of(m: int) -> str:
    return NAMES[m] if m >= 0 else ""


@cache
def played(kind: type[Scenario], seed: int) -> Played:
    scenario = kind(seed)
    engine = Watched(scenario)
    play(scenario, engine)
    totals, state = engine.state.totals[0], engine.state
    text = shock_text(Random(seed), len(scenario.venue.markets))
    result = SimpleNamespace(
        market_names=NAMES[: len(scenario.venue.markets)],
        tick_atoms=np.array([market.tick_atoms for market in scenario.venue.markets]),
        scenario_text=text,
        has_causes=True,
        liquidation=state.liquidation[: totals.num_liquidations],
        impact=state.impact[: totals.num_liquidations],
        seizure=state.seizure[: totals.num_seizures],
        loss=state.loss[: totals.num_losses],
    )
    return Played(engine, explain(scenario.venue), result, read_strikes(text))


def shock_text(luck: Random, num_markets: int) -> str:
    """Write a schedule of shocks, of steps of two hours: each acts in a few of forty steps."""
    lines = ["step_minutes = 120"]
    for _ in range(luck.randint(0, 3)):
        kind = luck.choice(("jump", "crash", "volatility", "depth", "depeg", "rule"))
        where = luck.sample(NAMES[:num_markets], luck.randint(0, num_markets))
        lines += ["[[shocks]]", f'kind = "{kind}"', f"at = {luck.randint(0, 60)}"]
        minutes, size = luck.randint(1, 2_000), luck.choice((-0.1, 0.2))
        lines += {
            "jump": [f"size = {size}"],
            "crash": [f"size = {size}", f"hold_minutes = {minutes}"],
            "volatility": ["factor = 2.0", f"minutes = {minutes}"],
            "depth": ["factor = 0.5", f"minutes = {minutes}"],
            "depeg": [f"size = {size}", f"hold_minutes = {minutes}"],
            "rule": ['field = "x"', 'value = "y"'],
        }[kind]
        if kind not in ("depeg", "rule") and where:
            lines += [f"markets = {where}"]
    return "\n".join(lines)


def shocks_of(strikes: list[Strike]) -> list[Shock]:
    return [Shock(each.name, each.losses, each.markets, each.start, each.end) for each in strikes]


def tables_of(sales: list[Sale], reasons: list[Reason]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two tables that cascades are found in."""
    liquidations = pd.DataFrame(
        {
            "step": np.array([sale.step for sale in sales], np.int64),
            "round": np.zeros(len(sales), np.int64),
            "pool": np.array([sale.seizure for sale in sales], np.int64),
            "account": np.array([sale.account for sale in sales], np.int64),
            "market": np.array([sale.market for sale in sales], str),
            "notional_usd": np.array([sale.usd for sale in sales]),
        }
    )
    causes = pd.DataFrame(
        {
            "liquidation": np.array([reason.liquidation for reason in reasons], np.int64),
            "market": np.array([reason.market for reason in reasons], str),
            "kind": np.array([reason.kind for reason in reasons], str),
            "parent": np.array([reason.parent for reason in reasons], np.int64),
            "loss_usd": 0.0,
            "weight": np.array([reason.weight for reason in reasons]),
        }
    )
    return liquidations, causes


def close_to(value: Any) -> Any:
    return pytest.approx(value, rel=1e-12, abs=0.0, nan_ok=True)


@every_run
def test_causes_are_what_the_journal_says(kind: type[Scenario], seed: int) -> None:
    run = played(kind, seed)
    table = {name: column.tolist() for name, column in tabulate_causes(run.result).items()}
    weights = table.pop("weight")
    columns = (table[name] for name in ("liquidation", "market", "kind", "parent"))
    keys = list(zip(*columns, strict=True))
    found = dict(zip(keys, zip(table["loss_usd"], weights, strict=True), strict=True))
    assert len(found) == len(keys)
    expected = {
        (n, name_of(each.market), each.kind, each.parent): (each.loss, each.weight)
        for seizure in run.seizures
        for n in seizure.rows
        for each in seizure.causes
    }
    assert found.keys() == expected.keys()
    for key, (loss, weight) in expected.items():
        assert (key, found[key][0]) == (key, loss / ATOMS)
        assert found[key][1] == close_to(weight)
    order = [(n, -loss) for n, loss in zip(table["liquidation"], table["loss_usd"], strict=True)]
    assert order == sorted(order)


def compare_cascades(
    found: list[Cascade], links: Links, sales: list[Sale], names: tuple[str, ...]
) -> None:
    assert len(found) == len(links.stories)
    for number, (one, story) in enumerate(zip(found, links.stories, strict=True), start=1):
        steps = [sales[n].step for n in story.members]
        sold = {sales[n].market for n in story.members}
        matrix = [[story.matrix.get((j, k), 0.0) for k in names] for j in names]
        assert one.number == number
        assert one.liquidations.tolist() == story.members
        assert one.parent.tolist() == [links.parent[n] for n in story.members]
        assert one.generation.tolist() == [links.generation[n] for n in story.members]
        assert one.depth == max(links.generation[n] for n in story.members) + 1
        assert one.num_accounts == num_accounts(story, sales)
        assert one.size_usd == close_to(size_of(story, sales))
        assert (one.start_step, one.duration_steps) == (min(steps), max(steps) - min(steps) + 1)
        assert one.markets == tuple(name for name in names if name in sold)
        assert one.root == story.root
        assert one.matrix.tolist() == [close_to(row) for row in matrix]


@every_run
def test_cascades_are_what_the_causes_say(kind: type[Scenario], seed: int) -> None:
    run = played(kind, seed)
    names, shocks = run.result.market_names, shocks_of(run.shocks)
    liquidations, _ = tables_of(run.sales, run.reasons)
    causes = pd.DataFrame(tabulate_causes(run.result))
    found = find_cascades(liquidations, causes, names, run.shocks)
    compare_cascades(found, link(run.sales, run.reasons, shocks), run.sales, names)
    assert cascade_figures(run.result) == close_to(figures(run.sales, run.reasons, shocks))


@every_run
def test_contagion_is_what_the_state_says(kind: type[Scenario], seed: int) -> None:
    for look in played(kind, seed).engine.looks:
        for side in SIDES:
            on_paper = look.expected[side]
            found = look.found.on_paper[SIDES.index(side)]
            assert found.tolist() == [close_to(row) for row in on_paper]
            radius = contagion.spectral_radius(on_paper)
            assert look.found.reproduction_on_paper(side) == close_to(radius)
            # the engine leaves out what is further away than anything walks: chances of 1e-9
            one_more = look.found.matrix(side)
            np.testing.assert_allclose(one_more, look.computed[side], rtol=1e-7, atol=1e-8)
        assert look.found.recovery.tolist() == [close_to(share) for share in look.recovery]
        for found, marks in look.triggers:
            assert found == marks


def random_causes(luck: Random) -> tuple[list[Sale], list[Reason]]:
    """Liquidations whose causes have few weights, so that many are equal and add up exactly."""
    sales: list[Sale] = []
    reasons = []
    seizure = step = 0
    for n in range(luck.randint(1, 25)):
        later = luck.choice((0, 0, 1, 7))
        step += later
        seizure += later > 0 or luck.random() < 0.4
        sales.append(
            Sale(
                step, luck.randrange(6), seizure, luck.choice(NAMES), luck.choice((0.0, 64.0, 1e3))
            )
        )
        parts = {}
        for _ in range(16):
            parent = luck.randrange(max(n - 6, 0), n) if n > 0 and luck.random() < 0.5 else -1
            kind = "forced" if parent >= 0 else luck.choice(("index", "other", "collateral"))
            market = "" if kind == "collateral" else luck.choice(NAMES)
            parts[market, kind, parent] = parts.get((market, kind, parent), 0) + 1
        reasons += [Reason(n, *key, count / 16) for key, count in parts.items()]
    return sales, reasons


@pytest.mark.parametrize("seed", range(60))
def test_equal_weights_go_to_the_earliest(seed: int) -> None:
    luck = Random(seed)
    sales, reasons = random_causes(luck)
    strikes = read_strikes(shock_text(luck, len(NAMES)))
    for least in (0.05, 0.125, 0.25):
        links = link(sales, reasons, shocks_of(strikes), least)
        found = find_cascades(*tables_of(sales, reasons), NAMES, strikes, least)
        compare_cascades(found, links, sales, NAMES)
    matrix = plain_dollar_matrix(sales, reasons, range(len(sales)))
    table = dollar_matrix(*tables_of(sales, reasons), NAMES)
    for j in NAMES:
        for k in NAMES:
            assert table.loc[j, k] == close_to(matrix.get((j, k), 0.0))


def random_holdings(luck: Random) -> Venue:
    """A venue of two or three dozen traders who hold whatever luck has it."""
    venue = crowded_venue(luck, luck.randint(20, 36))
    for row in venue.positions:
        for position in row:
            position.size = luck.choice((0, luck.randint(-50, 50)))
    return venue


@pytest.mark.parametrize("seed", range(20))
def test_exposure_is_what_the_positions_say(seed: int) -> None:
    venue = random_holdings(Random(seed))
    names = NAMES[: len(venue.markets)]
    held = measure_exposure(state_of(venue), names, ("crowd",) * venue.fund, step=7)
    table = held.concentration().set_index(["market", "side"])
    for m, name in enumerate(names):
        for side, sign in (("long", 1), ("short", -1)):
            expected = contagion.concentration(venue, m, sign)
            assert expected["accounts"] > 0
            assert table.loc[(name, side)].to_dict() == close_to(expected)
    for j, one in enumerate(names):
        for k, other in enumerate(names):
            for pooled in (True, False):
                share = contagion.overlap(venue, j, k, pooled)
                assert held.overlap(pooled=pooled).loc[one, other] == close_to(share)
            assert held.alignment().loc[one, other] == close_to(contagion.alignment(venue, j, k))


def random_matrix(luck: Random, radius: float) -> contagion.Matrix:
    """A matrix of a given spectral radius."""
    matrix = [[luck.uniform(0.1, 1.0) for _ in NAMES] for _ in NAMES]
    scale = radius / contagion.spectral_radius(matrix)
    return [[scale * each for each in row] for row in matrix]


@pytest.mark.parametrize("seed", range(20))
def test_small_moves_end_where_following_them_ends(seed: int) -> None:
    luck = Random(seed)
    falls, rises = random_matrix(luck, luck.uniform(0.1, 0.9)), random_matrix(luck, 0.5)
    matrix = ContagionMatrix(NAMES, np.array(falls), np.array(rises), 0)
    shock = [luck.choice((-0.01, 0.0, 0.02)) * luck.random() for _ in NAMES]
    end = contagion.end_of_moves(falls, rises, shock)
    found = matrix.response(dict(zip(NAMES, shock, strict=True)))
    assert list(found.values()) == pytest.approx(end, rel=1e-9, abs=1e-15)
    for k, name in enumerate(NAMES):
        unit = [float(k == j) for j in range(len(NAMES))]
        column = contagion.end_of_moves(rises, rises, unit)
        assert matrix.amplification("rises")[name].tolist() == pytest.approx(column, rel=1e-9)
    assert matrix.followers("falls") == pytest.approx(shares_of(falls), rel=1e-9)
    columns = [list(column) for column in zip(*falls, strict=True)]
    assert matrix.leaders("falls") == pytest.approx(shares_of(columns), rel=1e-9)


def shares_of(matrix: contagion.Matrix) -> dict[str, float]:
    """The mode that lasts: what any move looks like in the end."""
    move = [1.0 for _ in matrix]
    for _ in range(2_000):
        move = [sum(a * b for a, b in zip(row, move, strict=True)) for row in matrix]
        move = [each / sum(move) for each in move]
    return dict(zip(NAMES, move, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_figures_of_a_run_are_those_of_its_moments(seed: int) -> None:
    luck = Random(seed)
    steps = [60 * n for n in range(luck.randint(1, 8))]
    matrices = [[random_matrix(luck, luck.random()) for _ in SIDES] for _ in steps]
    for moment in matrices:
        for matrix in moment:
            matrix[0][1] = luck.choice((matrix[0][1], matrix[0][1], math.nan))
    numbers = [[contagion.spectral_radius(each) for each in moment] for moment in matrices]
    larger = [max((r for r in each if r == r), default=math.nan) for each in numbers]
    known = [each for each in larger if each == each]
    first, side = luck.choice(steps) + luck.choice((0, 30)), luck.choice((-1, 0, 1))
    last = max(n for n, step in enumerate(steps) if step <= first)
    before = {-1: numbers[last][0], 1: numbers[last][1], 0: larger[last]}[side]
    found = contagion_figures(np.array(steps), np.array(matrices), [(first + 90, 0), (first, side)])
    assert found == {
        "reproduction_number_before_shock": close_to(before) if before == before else None,
        "reproduction_number_max": close_to(max(known)) if known else None,
        "reproduction_number_mean": close_to(sum(known) / len(known)) if known else None,
    }
    series = Contagion(NAMES, np.array(steps), np.array(steps) / 60, np.array(matrices))
    if known:
        assert series.peak().step == steps[larger.index(max(known))]
    for n, step in enumerate(steps):
        np.testing.assert_array_equal(series.at(step + 59).matrix("falls"), matrices[n][0])


@pytest.mark.slow
def test_scenarios_hold_everything_that_can_happen() -> None:
    seen: Counter[str] = Counter()
    rules = []
    for kind, seed in RUNS:
        run = played(kind, seed)
        seen += run.engine.venue.seen
        rules.append(run.engine.venue.rules)
        links = link(run.sales, run.reasons, shocks_of(run.shocks))
        seen["shock"] += max(links.shock, default=-1) >= 0
        seen["chain of three"] += max(links.generation, default=0) >= 2
        for story in links.stories:
            seen["cascade of several accounts"] += num_accounts(story, run.sales) > 1
        for reason in run.reasons:
            seen["loss elsewhere"] += reason.market not in (
                "",
                run.sales[reason.liquidation].market,
            )
        for seizure in run.seizures:
            for each in seizure.causes:
                seen["gain" if each.loss < 0 else each.kind] += 1
        for look in run.engine.looks:
            seen["trigger"] += any(marks for _, marks in look.triggers)
            for side in SIDES:
                entries = look.found.on_paper[SIDES.index(side)].ravel()
                seen["empty book"] += bool(np.isnan(entries).any())
                seen["sale on paper"] += bool((entries > 0.0).any())
                seen["purchase on paper"] += bool((entries < 0.0).any())
                seen["one liquidation more"] += bool(look.found.matrix(side).any())
                seen["runaway"] += look.found.reproduction_on_paper(side) >= 1.0
    assert [name for name in PHENOMENA if seen[name] == 0] == []
    for name, rule in {
        "mark_rule": MarkRule,
        "legs": LegRule,
        "size_rule": SizeRule,
        "limit_rule": LimitRule,
    }.items():
        assert {getattr(each, name) for each in rules} == set(rule)
