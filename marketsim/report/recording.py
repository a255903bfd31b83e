"""A simulation, watched as it runs: what goes to the script that draws it, message by message.

A `Recorder` lets a run go on in stretches and looks at it between them, and after every step with
liquidations. The series come from the run's own tape, so nothing is measured twice; to watch a run
changes nothing about it.
"""

from copy import copy, deepcopy
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marketsim.contagion.growing import GrowingCascades, NewTies
from marketsim.contagion.recorder import SIDES, liquidation_bands
from marketsim.contagion.strikes import list_strikes
from marketsim.engine.state import ATOMS, ONE
from marketsim.report import drawn as sample
from marketsim.report.recorded_events import (
    deleverage_columns,
    liquidation_columns,
    settlement_columns,
    tie_columns,
)
from marketsim.report.style import theme
from marketsim.report.wire import Message
from marketsim.run.progress import Progress
from marketsim.run.room import complete_rows
from marketsim.run.simulation import Simulation
from marketsim.scenario.population import MODES, Population
from marketsim.tape.depth import near_depth

#: Depth is what rests within so many basis points of the mid.
DEPTH_BP = 50.0
#: Bands of the liquidation heat map, and how far from the mark it looks; fractions.
HEAT_BAND, HEAT_REACH = 0.005, 0.3
#: Bits kept of the mantissa of a number that is only drawn: it is right within 0.2 %.
KEPT_BITS = 8

#: Sent as differences along time.
DELTAS = (
    *("step", "index", "mark", "last", "bid", "ask"),
    *("account_step", "health", "lean", "worth", "heat_step", "heat_row", "heat_low", "heat_high"),
    *("liq_step", "liq_id", "liq_cascade", "tie_child", "set_step", "adl_step"),
)

#: Strategies whose traders bet on a side: a market's margin mode is theirs.
TAKE_SIDES = ("herd", "holder", "pair", "noise")

#: What a viewer must know.
LIMITS = (
    "Simulated: traders, order books, margin pools, liquidations, the insurance fund, funding. "
    "Spot prices are an input: nothing here predicts a price.",
    "A step is the shortest time there is: within it all act at once, in random order.",
    "R is computed from the positions and the books of a moment, for a small move; it is not "
    "measured by letting one happen.",
    "Which liquidation pushed which is reckoned from the impacts on the price while they executed: "
    "an attribution, exact in its sums, not an experiment.",
    "The liquidation heat map moves one mark at a time and leaves the others as they are.",
)


@dataclass(frozen=True)
class Cadence:
    """How often a run is looked at, steps."""

    accounts: int = 5
    heat: int = 15
    reproduction: int = 15


class Recorder:
    """Watches one run.

    Parameters
    ----------
    simulation : Simulation
        At any step; only what comes is recorded.
    drawn : ndarray
        Accounts that are drawn one by one.
    cadence : Cadence, optional
    lane : int, optional
        Its number among runs that are shown side by side.

    Attributes
    ----------
    simulation : Simulation
    """

    def __init__(
        self,
        simulation: Simulation,
        drawn: NDArray[np.int64],
        cadence: Cadence | None = None,
        lane: int = 0,
    ) -> None:
        self.simulation = simulation
        self.drawn = drawn
        self.cadence = cadence or Cadence()
        self.lane = lane
        self._stride = int(simulation.tape.clock[0].series_every)
        self._bare = simulation.result()  # by which liquidations are named
        self._first_price = np.array(simulation.state.market["index_ticks"], np.float64)
        self._cascades = GrowingCascades(simulation.market_names)
        self._liquidated = np.zeros(len(simulation.market_names), np.int64)  # atoms
        self._counts = (0, 0, 0, 0)
        self._depths: list[tuple[int, Any]] = []
        self._numbers: list[tuple[int, Any]] = [(0, np.full(len(SIDES), np.nan))]
        self._listen()
        self._look()

    def branch(self) -> Self:
        """Return a recorder of a copy of the run, which goes on from here.

        What has been seen since the last `frames` stays with this one.
        """
        twin = copy(self)
        twin.simulation = self.simulation.branch()
        twin._cascades = deepcopy(self._cascades)
        twin._liquidated = self._liquidated.copy()
        twin._listen()
        return twin

    def _listen(self) -> None:
        self._frames: list[tuple[int, dict[str, Any]]] = []
        self._heats: list[tuple[int, Any]] = []
        self._depths, self._numbers = self._depths[-1:], self._numbers[-1:]
        self.simulation.on("liquidation", self._hear)

    @property
    def cascades(self) -> NDArray[np.int64]:
        """(L,) the first liquidation of the cascade of each, by what is known now."""
        known: NDArray[np.int64] = self._cascades.cascade
        return known

    def start(self, **facts: Any) -> Message:
        """Return the message that opens a lane; `facts` are added to its header."""
        run = self.simulation
        scenario, market = run.scenario, run.state.market
        rules = run._rules
        header = {
            "kind": "start",
            "lane": self.lane,
            "scenario": scenario.name,
            "description": scenario.description,
            "seed": run.seed,
            "label": "",
            "version": version("marketsim-perps"),
            "mode": margin_mode(run),
            "step_minutes": scenario.step_minutes,
            "days": None if scenario.is_open else scenario.days,
            "steps": None if scenario.is_open else run.num_steps,
            "markets": list(run.market_names),
            "tick_size": market["tick_size"].tolist(),
            "lot_size": market["lot_size"].tolist(),
            "populations": list(run.roster.names),
            "accounts": {
                "drawn": self.drawn.tolist(),
                "population": run.roster.population[self.drawn].tolist(),
                "total": run.roster.num_traders,
            },
            "sampled": len(self.drawn) < run.roster.num_traders,
            "every": self.cadence.accounts,
            "heat_every": self.cadence.heat,
            "funding": {
                "interval_hours": rules.funding_interval_steps * scenario.step_minutes / 60.0,
                "cap": market["funding_cap"].tolist(),
                "band": float(run.state.venue[0].dead_band),
                "interest": float(run.state.venue[0].interest_rate),
            },
            "maintenance": (run.state.tier["maintenance_fraction"][:, 0] / ONE).tolist(),
            "health_base": sample.HEALTH_BASE,
            "lean_base": sample.LEAN_BASE,
            "worth_base": sample.WORTH_BASE,
            "command": f"marketsim run {scenario.name} --seed {run.seed}",
            "limits": list(LIMITS),
            "theme": theme(),
            "lanes": 1,
        }
        return Message(header | facts)

    def run(self, num_steps: int, progress: Progress | None = None) -> None:
        """Let the run go on; a hook that stops it ends this too.

        Parameters
        ----------
        num_steps : int
        progress : callable, optional
            Called with (steps done, steps asked).

        Raises
        ------
        Whatever `Simulation.run` raises.
        """
        run, first = self.simulation, self.simulation.step_count
        spans = (self.cadence.accounts, self.cadence.heat, self.cadence.reproduction)
        while run.step_count < first + num_steps:
            due = min((run.step_count // span + 1) * span for span in spans)
            goal = min(due, first + num_steps)
            run.run(goal - run.step_count)
            self._look()
            if progress is not None:
                progress(run.step_count - first, num_steps)
            if run.step_count < goal:
                return

    def frames(self, *, is_last: bool = False) -> Message | None:
        """Return what happened since the last call; None where no row is complete.

        The last row of a run that goes no further may be short of steps.
        """
        run, tape = self.simulation, self.simulation.tape
        first, stop = self._counts[0], run.step_count // self._stride
        if is_last and run.step_count % self._stride:
            complete_rows(run, stop, run.step_count // int(tape.clock[0].wealth_every) + 1)
            stop += 1
        if stop == first:
            return None
        arrays = self._rows(first, stop) | self._accounts() | self._heat() | self._events()
        self._counts = (stop, *self._counts[1:])
        return Message({"kind": "frames", "lane": self.lane}, arrays, DELTAS)

    def _hear(self, _: Any) -> None:
        self._frame()

    def _look(self) -> None:
        """Measure what is due at this step."""
        run, step = self.simulation, self.simulation.step_count
        self._depths.append((step, near_depth(run.state, np.array([DEPTH_BP]))[:, :, 0].T / ATOMS))
        if step % self.cadence.accounts == 0:
            self._frame()
        if step % self.cadence.heat == 0 and step > 0:
            self._heats.append((step, self._bands(step)))
        if step % self.cadence.reproduction == 0 and step > 0:
            matrix = run.contagion()
            numbers = [matrix.reproduction_number(side) for side in SIDES]
            self._numbers.append((step, np.array(numbers)))

    def _frame(self) -> None:
        step = self.simulation.step_count
        if not self._frames or self._frames[-1][0] < step:
            self._frames.append((step, sample.account_frame(self.simulation.state, self.drawn)))

    def _bands(self, step: int) -> Any:
        state = self.simulation.state
        return liquidation_bands(state, step, self._first_price, HEAT_BAND, HEAT_REACH)

    def _rows(self, first: int, stop: int) -> dict[str, Any]:
        run, market = self.simulation, self.simulation.state.market
        series, steps = run.tape.series[first:stop], run.tape.steps[first:stop]
        step = np.asarray(steps["step"]) + 1
        usd = np.asarray(market["tick_atoms"]) / ATOMS
        liquidated = self._liquidated + np.cumsum(series["liquidated_atoms"], axis=0)
        self._liquidated = liquidated[-1]
        rows = {
            "step": step.astype(np.int32),
            "index": np.rint(series["index_price"] / market["tick_size"]).astype(np.int32),
            "mark": series["mark_ticks"].astype(np.int32),
            "last": series["last_ticks"].astype(np.int32),
            "bid": series["best_bid"].astype(np.int32),
            "ask": series["best_ask"].astype(np.int32),
            "premium": coarse(series["premium"]),
            "rate": coarse(series["funding_rate"]),
            "next": coarse(series["predicted_rate"]),
            "interest": coarse(series["open_interest"] * series["mark_ticks"] * usd),
            "long_share": coarse(series["long_share"]),
            "herd": coarse(series["herd_index"]),
            "depth": coarse(_as_of(step, self._depths)),
            "fund": steps["fund_equity"] / ATOMS,
            "liquidated": liquidated / ATOMS,
            "adl": steps["adl_atoms"] / ATOMS,
            "socialised": steps["socialised_atoms"] / ATOMS,
            "reproduction": coarse(_as_of(step, self._numbers)),
        }
        self._depths, self._numbers = self._depths[-1:], self._numbers[-1:]
        return rows

    def _accounts(self) -> dict[str, Any]:
        frames, self._frames = self._frames, []
        count, num_markets = len(self.drawn), len(self.simulation.market_names)
        empty = {
            "health": np.zeros((0, count, 1 + num_markets), np.uint8),
            "lean": np.zeros((0, count, num_markets), np.uint8),
            "worth": np.zeros((0, count), np.uint16),
        }
        stacked = {
            name: np.stack([frame[name] for _, frame in frames]) if frames else blank
            for name, blank in empty.items()
        }
        return {"account_step": np.array([step for step, _ in frames], np.int32)} | stacked

    def _heat(self) -> dict[str, Any]:
        heats, self._heats = self._heats, []
        market = self.simulation.state.market
        rows = [each for _, each in heats]
        row = np.concatenate(rows) if rows else self._bands(0)[:0]
        usd = row["size"] * row["low_ticks"] * market["tick_atoms"][row["market"]] / ATOMS
        ends = np.cumsum([0, *(len(each) for each in rows)])
        return {
            "heat_step": np.array([step for step, _ in heats], np.int32),
            "heat_row": ends.astype(np.int32),
            "heat_market": row["market"].astype(np.uint8),
            "heat_side": (row["side"] < 0).astype(np.uint8),
            "heat_low": row["low_ticks"].astype(np.int32),
            "heat_high": row["high_ticks"].astype(np.int32),
            "heat_usd": coarse(usd),
        }

    def _events(self) -> dict[str, Any]:
        run, totals = self.simulation, self.simulation.state.totals[0]
        rows, *before = self._counts
        now = (
            int(totals.num_liquidations),
            int(run.tape.clock[0].num_funding),
            int(totals.num_deleverages),
        )
        new = [slice(first, stop) for first, stop in zip(before, now, strict=True)]
        self._counts = (rows, *now)
        ties = self._ties(now[0]) if now[0] > before[0] and totals.record_causes else None
        return {
            **liquidation_columns(run.state, run.state.liquidation[new[0]], before[0], ties),
            **tie_columns(ties),
            **settlement_columns(run.tape.funding[new[1]]),
            **deleverage_columns(run.state.deleverage[new[2]]),
        }

    def _ties(self, count: int) -> NewTies:
        run, totals = self.simulation, self.simulation.state.totals[0]
        known = replace(
            self._bare,
            liquidation=run.state.liquidation[:count],
            impact=run.state.impact[:count],
            seizure=run.state.seizure[: int(totals.num_seizures)],
            loss=run.state.loss[: int(totals.num_losses)],
        )
        strikes = list_strikes(run.steered.all_shocks, run.scenario.step_minutes)
        return self._cascades.grow(known, strikes)


def takes_sides(population: Population) -> bool:
    """Tell whether its traders bet on a side, and do not merely supply liquidity."""
    return population.strategy in TAKE_SIDES or ":" in population.strategy


def margin_mode(run: Simulation) -> str:
    """Name the margin mode of those who take sides now, "mixed" where they have several."""
    populations = run.scenario.populations.values()
    chosen = np.array([takes_sides(each) for each in populations])[run.roster.population]
    kinds = set(np.unique(run.interventions.margin_mode[chosen]).tolist())
    return MODES[kinds.pop()] if len(kinds) == 1 else "mixed"


def coarse(values: Any) -> NDArray[np.float32]:
    """Round numbers that are only drawn to `KEPT_BITS` bits of their mantissa: they pack well."""
    dropped = 23 - KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32(1 << (dropped - 1))
    rounded = (bits + half) & ~np.uint32((1 << dropped) - 1)
    return np.where(np.isfinite(bits.view(np.float32)), rounded, bits).view(np.float32)


def _as_of(step: NDArray[Any], measured: list[tuple[int, Any]]) -> NDArray[np.float64]:
    """Return what was measured last at each step."""
    when = np.array([at for at, _ in measured])
    place = np.searchsorted(when, step, side="right") - 1
    return np.stack([value for _, value in measured])[place]
