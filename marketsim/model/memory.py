"""What a market remembers beside its run: Mesa's part of it and the traders of users' own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mesa

from marketsim.model.trader import Trader, TraderView
from marketsim.run.data import SavedMarketError, complete
from marketsim.run.saved import data_of, give_back

#: Attributes of a trader that tie it to its market.
TIES = ("_model", "_desk")


def remember(market: Any, own: Mapping[int, Trader]) -> dict[str, Any]:
    """Return it as data.

    Parameters
    ----------
    market : PerpMarket
    own : mapping
        Its traders in plain Python, by account.

    Raises
    ------
    SavedMarketError
        If part of it is no data.
    """
    others = [each for each in mesa.Model.agents.fget(market) if not isinstance(each, TraderView)]
    if others:
        raise SavedMarketError(
            f"{type(others[0]).__name__}: agents that are no traders are not saved"
        )
    if len(getattr(market, "_event_list", ())) > 1:  # one is Mesa's own: the next step
        raise SavedMarketError("events that Mesa has scheduled are not saved")
    if getattr(market, "time", 0.0) % 1.0 != 0.0:
        raise SavedMarketError(f"time {market.time}: only a market between two steps is saved")
    return {
        "running": market.running,
        "random": market.random.getstate(),
        "rng": market.rng.bit_generator.state,
        "traders": {account: data_of(each, _attributes(each)) for account, each in own.items()},
    }


def remind(
    market: Any, own: Mapping[int, Trader], remembered: Mapping[str, Any] | None, file: Path
) -> None:
    """Give a market what `remember` returned; None where it was no market that was saved.

    Raises
    ------
    SavedMarketError
        If the file it was read from is damaged, or a trader's `restore` fails.
    """
    market.count_steps(market.simulation.step_count)
    if remembered is None:
        return
    with complete(file):
        memories = {account: remembered["traders"][account] for account in own}
        market.running = remembered["running"]
        market.random.setstate(remembered["random"])
        market.rng.bit_generator.state = remembered["rng"]
    for account, trader in own.items():
        ties = {name: trader.__dict__[name] for name in TIES}
        give_back(file, trader, memories[account], trader.__dict__)
        trader.__dict__.update(ties)


def _attributes(trader: Trader) -> dict[str, Any]:
    return {name: value for name, value in vars(trader).items() if name not in TIES}
