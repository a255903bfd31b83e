"""Cascades that count as events, in tables made up for it."""

import numpy as np
import pandas as pd
import pytest

from marketsim.results.cascades import Cascade
from marketsim.results.large_cascades import find_large_cascades

MARKETS = ("BTC", "ETH", "SOL")
#: USD of all three markets together.
OPEN_INTEREST = 1000.0


def table(rows) -> pd.DataFrame:
    """A table of liquidations: step, market, side, USD."""
    return pd.DataFrame(rows, columns=["step", "market", "side", "notional_usd"])


def chain(rows, generation, number=1) -> Cascade:
    """A cascade of all rows of a table, by the generation of each."""
    return Cascade(
        number=number,
        liquidations=np.arange(len(rows)),
        generation=np.array(generation),
        parent=np.arange(len(rows)) - 1,
        size_usd=float(rows["notional_usd"].sum()),
        num_accounts=len(rows),
        depth=max(generation) + 1,
        start_step=int(rows["step"].min()),
        duration_steps=int(np.ptp(rows["step"])) + 1,
        root="drift of BTC",
        markets=tuple(name for name in MARKETS if (rows["market"] == name).any()),
        matrix=np.zeros((3, 3)),
    )


def series(levels=None) -> pd.DataFrame:
    """Open interest at the end of steps, a third in each market."""
    levels = levels or dict.fromkeys(range(0, 2000, 5), OPEN_INTEREST)
    return pd.DataFrame(
        [(step, name, usd / 3.0) for step, usd in levels.items() for name in MARKETS],
        columns=["step", "market", "open_interest_usd"],
    )


FOUR = table(
    [
        (100, "BTC", "long", 20.0),
        (110, "BTC", "long", 10.0),
        (120, "ETH", "long", 15.0),
        (130, "ETH", "short", 15.0),
    ]
)


def found(rows=FOUR, generation=(0, 1, 2, 3), levels=None, minutes=1.0, **bounds):
    cascades = [chain(rows, list(generation))]
    return find_large_cascades(cascades, rows, series(levels), minutes, **bounds)


def test_a_cascade_that_reaches_every_bound_is_large():
    (one,) = found()
    assert one.step == 100
    assert one.size_usd == pytest.approx(60.0)
    assert one.share == pytest.approx(0.06)
    assert one.markets == ("BTC", "ETH")
    assert one.generations == 4
    assert one.side == "long"
    assert one.as_dict()["markets"] == ["BTC", "ETH"]


@pytest.mark.parametrize(
    "bound", [{"share": 0.061}, {"markets": 3}, {"generations": 5}, {"hours": 0.25}]
)
def test_one_that_misses_a_bound_is_not(bound):
    assert found() != []
    assert found(**bound) == []


def test_only_what_falls_within_the_hours_counts_and_the_worst_hours_are_taken():
    rows = table(
        [
            (100, "BTC", "long", 40.0),
            (600, "BTC", "short", 30.0),
            (660, "ETH", "short", 20.0),
            (720, "SOL", "long", 10.0),  # two hours after the first of them: still counted
            (721, "SOL", "long", 45.0),
        ]
    )
    (one,) = found(rows, (0, 1, 2, 3, 4), generations=3)
    assert one.step == 660
    assert one.size_usd == pytest.approx(75.0)
    assert one.markets == ("ETH", "SOL")
    assert one.generations == 3
    (wider,) = found(rows, (0, 1, 2, 3, 4), hours=2.1)
    assert (wider.step, wider.generations) == (600, 4)
    assert wider.size_usd == pytest.approx(105.0)


def test_hours_are_hours_whatever_a_step_is():
    assert found(minutes=5.0, hours=1.0) == []  # 30 steps are 2.5 hours
    assert len(found(minutes=5.0, hours=2.5)) == 1


def test_open_interest_is_that_before_the_first_liquidation():
    levels = {95: 2000.0, 100: 500.0, 105: 500.0}
    assert found(levels=levels) == []
    assert found(levels=levels, share=0.03)[0].share == pytest.approx(0.03)
    assert found(levels={100: 600.0})[0].share == pytest.approx(0.1)  # nothing before: the first


def test_rows_out_of_order_and_legs_of_nothing_change_nothing():
    late = table([*FOUR.iloc[::-1].itertuples(index=False), (125, "SOL", "long", 0.0)])
    (one,) = found(late, (3, 2, 1, 0, 2))
    assert (one.step, one.generations, one.markets) == (100, 4, ("BTC", "ETH"))


def test_without_open_interest_nothing_is_large():
    assert found(levels={95: 0.0, 100: 0.0}) == []


def test_they_come_in_order_of_time():
    rows = pd.concat([FOUR.assign(step=FOUR["step"] + 500), FOUR], ignore_index=True)
    late, early = chain(rows.iloc[:4], [0, 1, 2, 3]), chain(rows.iloc[4:], [0, 1, 2, 3], 2)
    early.liquidations[:] += 4
    listed = find_large_cascades([late, early], rows, series(), 1.0)
    assert [each.step for each in listed] == [100, 600]


@pytest.mark.parametrize(
    "bound", [{"share": -0.1}, {"hours": 0.0}, {"markets": 0}, {"generations": 0}]
)
def test_a_bound_out_of_range_is_refused(bound):
    (name,) = bound
    with pytest.raises(ValueError, match=f"^{name} = "):
        found(**bound)
