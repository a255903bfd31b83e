"""The order of liquidation and of deleveraging, beside NumPy's sort by two keys."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from marketsim.engine.ranking import order_by

SCORES = st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 0.25, 1.0, np.inf]) | st.floats(allow_nan=False)
PAIRS = st.lists(st.tuples(SCORES, st.integers(-3, 3)), max_size=70)


@settings(deadline=None)
@given(PAIRS)
def test_order_is_by_score_then_tie_then_place(pairs: list[tuple[float, int]]) -> None:
    score = np.array([pair[0] for pair in pairs], np.float64)
    tie = np.array([pair[1] for pair in pairs], np.int64)
    assert_array_equal(order_by(score, tie), np.lexsort((tie, score)))
