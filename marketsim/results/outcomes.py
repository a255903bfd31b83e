"""What became of every trader: what it paid in, and what it had in the end or took out.

Where traders come and go an account has several, one after the other; each counts by itself.
"""

from typing import NamedTuple

import numpy as np

from marketsim.tape.arrivals import Turn
from marketsim.tape.result import Integers, RunResult


class Outcomes(NamedTuple):
    """The traders of a run, account by account, first come first, and the fund; atoms."""

    account: Integers
    paid_in: Integers
    got: Integers  #: taken out, and what it still owns at the end


def trader_outcomes(result: RunResult) -> Outcomes:
    """Tell what became of every trader.

    Parameters
    ----------
    result : RunResult

    Returns
    -------
    Outcomes
    """
    row = result.arrival
    is_first = row["kind"] == Turn.ARRIVAL
    newcomers = np.bincount(row["account"][is_first], minlength=len(result.deposit))
    stop = np.cumsum(newcomers + 1)
    account = np.repeat(np.arange(len(stop)), newcomers + 1)
    # Numbers of traders: of an account's last one, of that of a generation, of that at a time.
    last = stop - 1
    trader = last[row["account"]] - (result.traders_before[row["account"]] - row["generation"])
    paid, got = np.zeros(len(account), np.int64), np.zeros(len(account), np.int64)
    arrived = last - newcomers
    for step, i, atoms in result.payments:
        come = np.count_nonzero(is_first & (row["account"] == i) & (row["step"] <= step))
        paid[arrived[i] + come] += max(atoms, 0)
        got[arrived[i] + come] += max(-atoms, 0)
    np.add.at(paid, trader, np.maximum(row["atoms"], 0))
    np.add.at(got, trader, np.maximum(-row["atoms"], 0))
    since = np.zeros(len(stop), np.int64)
    np.add.at(since, account, paid)
    paid[arrived] += result.deposit - since
    got[last] += result.end.equity
    return Outcomes(account, paid, got)
