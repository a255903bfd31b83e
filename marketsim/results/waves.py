"""Waves of auto-deleveraging: what each had to cover, what it took from whom, then and later.

A wave is all that is deleveraged in one step. *Needed* is the negative equity, at the mark, behind
the legs it closed, each leg's share of its pool's by maintenance margin. *Taken* is what the
deleveraged gave up: what the closed size would have been worth to them at the mark of that moment,
and of some time later, beyond what they received. Closed at the bankruptcy price, what is taken at
once is what was needed; who pays is what rules differ in.

References
----------
T. Chitra, Autodeleveraging, arXiv 2512.01112; T. Chitra et al., Autodeleveraging as Online
Learning, arXiv 2602.15182: overshoot, horizons, largest haircut.
"""

from typing import Any, Protocol

import numpy as np

from marketsim.tape.events import Table, deleveragings, liquidations, quotes
from marketsim.tape.moments import Figures, present
from marketsim.tape.result import RunResult

#: Minutes after a wave at which it is asked again what was given up.
HORIZONS = (5, 60)
#: Columns of the waves that add up.
SUMS = ("notional_usd", "needed_usd", "taken_usd", *(f"taken_{n}min_usd" for n in HORIZONS))
#: And those of which a run has a typical value.
SHARES = ("largest_share", "largest_profit_share")


class Columns(Protocol):
    """A table: a frame, or a mapping of arrays."""

    def __getitem__(self, name: str, /) -> Any: ...


def tabulate_waves(
    legs: Columns,
    closures: Columns,
    markets: Columns,
    step_minutes: float,
) -> Table:
    """Sum up every wave of auto-deleveraging, in order.

    Parameters
    ----------
    legs, closures, markets : Columns
        A run's tables `liquidations`, `deleveragings` and `markets`.
    step_minutes : float

    Returns
    -------
    dict
        `step`, `hours`; `closures` and `accounts` deleveraged; `notional_usd` closed, at the mark;
        `needed_usd`; `taken_usd` at the wave and `taken_<n>min_usd` n minutes later (NaN where the
        run ends before); `largest_share`, the largest part of one account's position that was
        closed, and `largest_profit_share`, the largest part of the profit on one that was taken at
        the wave (NaN where none had any).
    """
    at, first, wave = np.unique(closures["step"], return_index=True, return_inverse=True)
    is_closed = np.asarray(legs["adl_size"]) > 0
    leg = {name: np.asarray(legs[name])[is_closed] for name in _OF_A_LEG}
    leg_wave = np.searchsorted(at, leg["step"])
    gap = np.where(leg["side"] == "long", 1, -1) * (leg["bankruptcy_price"] - leg["mark_price"])
    _, place = np.unique(np.stack([wave, closures["account"]]), axis=1, return_index=True)

    def total(values: Any, where: Any) -> Any:
        return np.bincount(where, np.asarray(values, np.float64), minlength=len(at))

    later = {
        f"taken_{n}min_usd": total(_taken_later(closures, markets, n / step_minutes), wave)
        for n in HORIZONS
    }
    return {
        "step": at,
        "hours": np.asarray(closures["hours"])[first],
        "closures": np.bincount(wave, minlength=len(at)),
        "accounts": np.bincount(wave[place], minlength=len(at)),
        "notional_usd": total(leg["mark_price"] * leg["adl_size"], leg_wave),
        "needed_usd": total(gap * leg["adl_size"], leg_wave),
        "taken_usd": total(closures["cost_usd"], wave),
        **later,
        **_largest_shares(closures, wave, len(at)),
    }


_OF_A_LEG = ("step", "side", "bankruptcy_price", "mark_price", "adl_size")


def _taken_later(closures: Columns, markets: Columns, steps: float) -> Any:
    """Return what each closed size would have brought beyond its cash so many steps later, USD.

    At the first recorded mark from then on; NaN where there is none.
    """
    cash, size = np.asarray(closures["cash_usd"]), np.asarray(closures["size"])
    step, names = np.asarray(closures["step"]), np.asarray(closures["market"])
    taken = np.full(len(step), np.nan)
    recorded = np.asarray(markets["market"])
    for name in np.unique(names):
        own, rows = names == name, recorded == name
        place = np.searchsorted(np.asarray(markets["step"])[rows], step[own] + steps)
        mark = np.append(np.asarray(markets["mark_price"])[rows], np.nan)[place]
        taken[own] = -(cash[own] + size[own] * mark)
    return taken


def _largest_shares(closures: Columns, wave: Any, num_waves: int) -> Table:
    """Return the largest shares of one account's position and of its profit, by wave."""
    _, market = np.unique(closures["market"], return_inverse=True)
    keys = np.stack([wave, closures["account"], market])
    position, first, member = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    member = member.reshape(-1)  # NumPy 2.0 keeps the axes here
    closed = np.abs(np.bincount(member, closures["size"]))
    lost = np.bincount(member, closures["cost_usd"])
    held = np.abs(np.asarray(closures["size_before"])[first])
    profit = np.asarray(closures["profit_usd"])[first]
    of_profit = np.full(len(profit), np.nan)
    np.divide(lost, profit, out=of_profit, where=profit > 0.0)
    shares = {name: np.full(num_waves, np.nan) for name in SHARES}
    for name, share in zip(SHARES, (closed / held, of_profit), strict=True):
        np.fmax.at(shares[name], position[0], share)
    return shares


def wave_figures(waves: Columns) -> Figures:
    """Sum up all waves of a run.

    Parameters
    ----------
    waves : Columns
        As `tabulate_waves` returns them.

    Returns
    -------
    dict
        `count` of waves and `closures`; sums of `SUMS`, of the waves they are known of; medians of
        `SHARES` over the waves, None if there is none.
    """
    known = {name: present(waves[name]) for name in (*SUMS, *SHARES)}
    return {
        "count": len(waves["step"]),
        "closures": int(np.sum(waves["closures"])),
        **{name: float(known[name].sum()) for name in SUMS},
        **{name: float(np.median(known[name])) if len(known[name]) else None for name in SHARES},
    }


def figures_of_waves(result: RunResult) -> Figures:
    """Sum up all waves of a result as `wave_figures` does; without any nothing else is read."""
    legs: Columns = dict.fromkeys(_OF_A_LEG, np.empty(0))
    prices: Columns = {"market": []}
    if len(result.deleverage):
        legs, prices = liquidations(result), quotes(result)
    return wave_figures(tabulate_waves(legs, deleveragings(result), prices, result.step_minutes))
