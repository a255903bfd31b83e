"""Record types of the observers `causes` and `recovery`.

What moved the marks, what positions lost by it, what the books took back of it.
"""

from marketsim.engine.records import F8, I4, I8, Record


class Split(Record):
    """A market's mark in parts, and what liquidations moved it by."""

    # ticks: parts of the mark; what is left of it is other flow
    index: F8  #: the index by news, without what reflexivity adds
    forced: F8  #: what is left in it of the impacts of liquidations
    by_last: I8  #: 1 if the forced part is that of the last price, else of the mid
    pass_mark: I8  #: at the last margin pass
    pass_index: F8
    pass_forced: F8
    # ticks: outstanding impacts of liquidation orders
    impact_mid: F8
    impact_last: F8
    forced_basis: F8  #: their part of `market.basis`
    fading: F8  #: sum of the logs of what recoveries have left of them
    faded_row: I8  #: liquidation rows written when nothing was left of them
    displacement: F8  #: index over index by news; 0: not known, the same
    forced_displacement: F8  #: share of the index that leans on outstanding impacts
    seen_mid: F8  #: ticks, at the end of the last step
    seen_index: F8


class Recovery(Record):
    """What a book takes back of what liquidations moved its price by (`recovery`)."""

    pressure: F8  #: ticks: impacts on the mid, less what was taken back of them at `share`
    share: F8  #: of the pressure, taken back in a step; 0 before any liquidation
    taken_back: F8  #: ticks^2: sum of pressure x what the mid came back by
    pressed: F8  #: ticks^2: sum of the pressure squared
    seen_mid: F8  #: ticks, at the end of the last step
    seen_index: F8
    seen_mark: I8  #: ticks; 0 before the first step
    moves: F8  #: steps that `State.movement` rests on, those long past less


class Tally(Record):
    """What a position lost since its pool was safe."""

    safe_pass: I4  #: pass from which it counts: `SAFE.number` of its pool
    # ticks: mark and its parts up to which it has counted
    mark: I4
    mark_index: F8
    mark_forced: F8
    # atoms lost since the pool was safe
    price: I8  #: by moves of the mark,
    index: F8  #: of its index part
    forced: F8  #: and of its forced part
    funding: I8
    fees: I8  #: fees, and what trades cost against the mark


class Safe(Record):
    """A pool in the last margin pass that found it safe."""

    # of the last margin pass that found a pool safe
    equity: I8
    number: I4  #: which pass it was
    row: I4  #: liquidation rows written by then


class Impact(Record):
    """What a liquidation moved the price by."""

    seizure: I8  #: row of `State.seizure` the liquidation belongs to
    mid: F8  #: ticks its order moved the mid by
    last: F8  #: and the last price
    fading: F8  #: the market's `fading` at that time


class Seizure(Record):
    """A pool about to be liquidated."""

    pool: I8
    first_row: I8  #: its first liquidation
    safe_row: I8  #: liquidation rows written when the pool was last safe
    first_loss: I8  #: its first row of `State.loss`
    num_losses: I8
    loss: I8  #: atoms of equity since then, transfers and collateral included


class Loss(Record):
    """What a seized pool lost in one market since it was last safe."""

    seizure: I8
    market: I4
    by_last: I4  #: `split.by_last`
    first_row: I8  #: liquidations from here on may have caused the forced part
    size: I8  #: lots held at the seizure
    # atoms lost since the pool was last safe
    index: I8
    forced: I8
    other: I8
    funding: I8
    fees: I8


class Blame(Record):
    """A part of a forced loss, and the liquidation to blame for it."""

    row: I8  #: of `State.loss`
    parent: I8  #: the liquidation to blame for this part of its forced loss, or NONE
    loss: I8  #: atoms
