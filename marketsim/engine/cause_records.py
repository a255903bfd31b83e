"""Record types of `marketsim.engine.causes`: what moved the marks, what positions lost by it."""

import numpy as np

SPLIT = np.dtype(
    [
        # ticks: parts of the mark; what is left of it is other flow
        ("index", "f8"),  #: the index by news, without what reflexivity adds
        ("forced", "f8"),  #: what is left in it of the pushes of liquidations
        ("by_last", "i8"),  #: 1 if the forced part is that of the last price, else of the mid
        ("pass_mark", "i8"),  #: at the last margin pass
        ("pass_index", "f8"),
        ("pass_forced", "f8"),
        # ticks: outstanding pushes of liquidation orders
        ("pushed_mid", "f8"),
        ("pushed_last", "f8"),
        ("forced_basis", "f8"),  #: their part of `market.basis`
        ("healing", "f8"),  #: sum of the logs of what recoveries have left of them
        ("healed_row", "i8"),  #: liquidation rows written when nothing was left of them
        ("lean", "f8"),  #: index over index by news; 0: not known, the same
        ("forced_lean", "f8"),  #: share of the index that leans on outstanding pushes
        ("seen_mid", "f8"),  #: ticks, at the end of the last step
        ("seen_index", "f8"),
    ]
)

TALLY = np.dtype(
    [
        ("safe_pass", "i4"),  #: pass from which it counts: `SAFE.number` of its pool
        # ticks: mark and its parts up to which it has counted
        ("mark", "i4"),
        ("mark_index", "f8"),
        ("mark_forced", "f8"),
        # atoms lost since the pool was safe
        ("price", "i8"),  #: by moves of the mark,
        ("index", "f8"),  #: of its index part
        ("forced", "f8"),  #: and of its forced part
        ("funding", "i8"),
        ("fees", "i8"),  #: fees, and what trades cost against the mark
    ]
)

SAFE = np.dtype(
    [
        # of the last margin pass that found a pool safe
        ("equity", "i8"),
        ("number", "i4"),  #: which pass it was
        ("row", "i4"),  #: liquidation rows written by then
    ]
)

PUSH = np.dtype(
    [
        ("seizure", "i8"),  #: row of `State.seizure` the liquidation belongs to
        ("mid", "f8"),  #: ticks its order moved the mid by
        ("last", "f8"),  #: and the last price
        ("healing", "f8"),  #: the market's `healing` at that time
    ]
)

SEIZURE = np.dtype(
    [
        ("pool", "i8"),
        ("first_row", "i8"),  #: its first liquidation
        ("safe_row", "i8"),  #: liquidation rows written when the pool was last safe
        ("first_loss", "i8"),  #: its first row of `State.loss`
        ("num_losses", "i8"),
        ("loss", "i8"),  #: atoms of equity since then, transfers and collateral included
    ]
)

LOSS = np.dtype(
    [
        ("seizure", "i8"),
        ("market", "i4"),
        ("by_last", "i4"),  #: `split.by_last`
        ("first_row", "i8"),  #: liquidations from here on may have caused the forced part
        ("size", "i8"),  #: lots held at the seizure
        # atoms lost since the pool was last safe
        ("index", "i8"),
        ("forced", "i8"),
        ("other", "i8"),
        ("funding", "i8"),
        ("fees", "i8"),
    ]
)

BLAME = np.dtype(
    [
        ("row", "i8"),  #: of `State.loss`
        ("parent", "i8"),  #: the liquidation to blame for this part of its forced loss, or NONE
        ("loss", "i8"),  #: atoms
    ]
)
