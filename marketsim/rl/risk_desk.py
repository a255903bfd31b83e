"""The venue as the learner: it sets its rules, and pays for losses and for trade it drives off."""

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from marketsim.engine.state import ATOMS, State
from marketsim.rl.columns import (
    FUNDING_RATE,
    PREMIUM,
    TIME_LEFT,
    VOLATILITY,
    Column,
    columns_of,
)
from marketsim.rl.perp_env import Observation, checked_seed, choose_seed, observation_space
from marketsim.rl.play import LARGEST
from marketsim.rl.table import read_scenario, read_span
from marketsim.run.seeding import Opener
from marketsim.run.simulation import Simulation
from marketsim.scenario.build import funding_cap
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.schema import Scenario
from marketsim.tape.result import RunResult

#: What the venue may choose: multiples of the margin its scenario asks for; the largest funding
#: rate per 8 h, 0 standing for the scenario's own; who is deleveraged first.
MARGINS = (0.5, 1.0, 1.5, 2.0)
CAPS = (0.0, 0.0005, 0.002, 0.01)
RANKS = ("bitmex", "binance", "hyperliquid", "random")
#: What a dollar of volume is worth to the venue: about both sides' fees.
TAKE = 0.001
#: Margin used from which a pool counts as near its end.
NEAR = 0.5

#: What the venue sees of each market, and of itself.
OF_MARKET = (
    Column("index_return", "%", "of the index since the last decision"),
    VOLATILITY,
    PREMIUM,
    FUNDING_RATE,
    Column("open_interest", "share of deposits", "one-sided, at the mark"),
)
OF_VENUE = (
    Column("near", "share of equity", "equity of pools that use half of their margin or more"),
    Column("fund", "share of the start's", "equity of the insurance fund"),
    Column("margin", "multiple", "margin asked for, over the scenario's"),
    Column("cap", "0.1 % per 8 h", "largest funding rate; 10 where it is that or more"),
    Column("rank", "number", "place of the rule of deleveraging in RANKS"),
    TIME_LEFT,
)


class RiskDesk(gym.Env[Observation, NDArray[np.int64]]):
    """A venue that sets margin, funding cap and the rule of deleveraging while its market runs.

    An action is three places: in `MARGINS`, `CAPS` and `RANKS`. What is lost is measured against a
    twin: the same seed under the scenario's own rules.

    Parameters
    ----------
    scenario : Scenario, str or Path, optional
    decide_every : str or float, optional
        Time between two decisions.
    overrides : list of (str, str), optional
        Fields of the scenario to change, as ``--set`` does.

    Attributes
    ----------
    columns : tuple of Column
        What each number of an observation is, and its unit.

    Raises
    ------
    ScenarioError
        If the scenario is wrong, or a market has margin brackets.
    ValueError
        If `decide_every` is no whole number of steps.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  as Gymnasium has it

    def __init__(
        self,
        scenario: Scenario | str | Path = "quickstart",
        decide_every: str | float = "4h",
        overrides: list[tuple[str, str]] | None = None,
    ) -> None:
        self.scenario = read_scenario(scenario, overrides)
        self._every = read_span(decide_every, self.scenario)
        for name, market in self.scenario.markets.items():
            if len(market.brackets) > 1:
                text = f"markets.{name}.tiers: the desk scales one margin, state max_leverage"
                raise ScenarioError([text], self.scenario.name)
        self._opener = Opener(self.scenario)
        self.columns = columns_of(tuple(self.scenario.markets), OF_MARKET, OF_VENUE)
        self.observation_space = observation_space(len(self.columns))
        self.action_space: Any = spaces.MultiDiscrete([len(MARGINS), len(CAPS), len(RANKS)])
        self._rules = self._own = (
            MARGINS.index(1.0),
            CAPS.index(0.0),
            RANKS.index(self.scenario.venue.liquidation.rank_rule),
        )
        self._run: Simulation | None = None
        self._twin: Simulation | None = None
        self._before = np.zeros(0)

    @property
    def run(self) -> Simulation:
        """The run of this episode as far as it is, the rules set among its interventions.

        Raises
        ------
        RuntimeError
            If no episode has begun.
        """
        if self._run is None:
            raise RuntimeError("no episode has begun: call reset() first")
        return self._run

    def result(self) -> RunResult:
        """Return what the episode has left so far, as any run does."""
        return self.run.result()

    def digest(self) -> str:
        """Return the digest of what is recorded so far."""
        return self.run.digest()

    def hold(self) -> NDArray[np.int64]:
        """Return the action by which the rules stay as they are."""
        return np.array(self._rules, np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: the run of the scenario with this seed; see `PerpEnv.reset`."""
        seed = checked_seed(seed)
        super().reset(seed=seed, options=options)
        chosen = choose_seed(self, seed)
        self._run, self._twin = self._opener.open(chosen), self._opener.open(chosen)
        self._rules = self._own
        self._before = np.array(self._run.state.market["index_price"])
        return self._observe(self._run), {"seed": chosen}

    def step(
        self, action: NDArray[np.int64]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Set the rules and run to the next decision.

        Returns
        -------
        observation : array
        reward : float
            Less what other traders had to pay for bankrupt ones and less what the venue would have
            taken from the volume it has driven off, in % of all deposits.
        terminated : bool
            Never.
        truncated : bool
            Whether the scenario has ended.
        info : dict
            ``unpaid`` and ``lost_volume`` since the last decision, USD.

        Raises
        ------
        ValueError
            If the action is no place in each of the three lists.
        RuntimeError
            If no episode is under way.
        """
        run, twin = self._run, self._twin
        if run is None or twin is None or run.has_ended:
            raise RuntimeError("no episode is under way: call reset() first")
        self._set(run, self._checked(action))
        steps = min(self._every, run.num_steps - run.step_count)
        traded = [_traded(each) for each in (run, twin)]
        unpaid = -_unpaid(run.state)
        for each in (run, twin):
            each.run(steps)
        unpaid += _unpaid(run.state)
        own, usual = (_traded(each) - old for each, old in zip((run, twin), traded, strict=True))
        lost = max(usual - own, 0.0)
        deposits = int(run.state.totals[0].deposits) / ATOMS
        reward = -100.0 * (unpaid + TAKE * lost) / deposits
        observation = self._observe(run)
        info = {"unpaid": unpaid, "lost_volume": lost}
        return observation, reward, False, bool(run.has_ended), info

    def _checked(self, action: Any) -> tuple[int, int, int]:
        """Return an action as places in the three lists."""
        values = np.asarray(action)
        sizes = (len(MARGINS), len(CAPS), len(RANKS))
        if values.shape != (3,):
            raise ValueError(f"action has shape {values.shape}: must be (3,)")
        if not np.isin(values, range(max(sizes))).all() or (values >= sizes).any():
            raise ValueError(
                f"action {values.tolist()}: must be whole numbers from 0, below {list(sizes)}"
            )
        margin, cap, rank = (int(value) for value in values)
        return margin, cap, rank

    def _set(self, run: Simulation, rules: tuple[int, int, int]) -> None:
        """Set what differs from the rules in force."""
        for name, market in self.scenario.markets.items():
            if rules[0] != self._rules[0]:
                leverage = market.leverage_limit / MARGINS[rules[0]]
                run.set(f"markets.{name}.max_leverage", leverage)
            if rules[1] != self._rules[1]:
                own = funding_cap(self.scenario.venue, market)
                run.set(f"markets.{name}.funding_cap", CAPS[rules[1]] or own)
        if rules[2] != self._rules[2]:
            run.set("venue.liquidation.rank_rule", RANKS[rules[2]])
        self._rules = rules

    def _observe(self, run: Simulation) -> Observation:
        """Return what the venue sees, and keep the prices of now."""
        state = run.state
        market, fund = state.market, run.roster.num_traders
        index_price = np.array(market["index_price"])
        year = 8760.0 / float(state.venue[0].step_hours)
        deposits = float(state.totals[0].deposits)
        mark_atoms = market["mark_ticks"] * market["tick_atoms"]
        of_market = [
            100.0 * np.log(index_price / self._before),
            np.sqrt(run.traders.public["variance"] * year),
            market["premium"] * 1e3,
            market["funding_rate"] * 1e4,
            market["open_interest"] * mark_atoms / deposits,
        ]
        pool = state.pool
        equity = np.maximum(np.asarray(pool["equity"], np.float64), 0.0)
        is_near = pool["maintenance"] > NEAR * equity
        held = pool["cash"][fund] + (state.position["size"][fund] * mark_atoms).sum()
        of_venue = [
            equity[is_near].sum() / max(equity.sum(), 1.0),
            held / max(float(state.account["deposit"][fund]), 1.0),
            MARGINS[self._rules[0]],
            1e3 * float(market["funding_cap"].max()),
            self._rules[2],
            1.0 - run.step_count / run.num_steps,
        ]
        self._before = index_price
        seen = np.concatenate([np.array(of_market).T.reshape(-1), of_venue])
        cut: Observation = np.clip(seen, -LARGEST, LARGEST).astype(np.float32)
        return cut


def _unpaid(state: State) -> float:
    """Return what other traders have paid for bankrupt ones so far, USD."""
    rows = state.deleverage[: int(state.totals[0].num_deleverages)]
    return (int(state.totals[0].socialised_atoms) + int(rows["cost"].sum())) / ATOMS


def _traded(run: Simulation) -> float:
    """Return the volume of all markets so far, USD."""
    rows = math.ceil(run.step_count / int(run.tape.clock[0].series_every))
    series = run.tape.series[:rows]
    notional = series["volume"] * series["mark_ticks"] * run.state.market["tick_atoms"]
    return float(notional.sum()) / ATOMS
