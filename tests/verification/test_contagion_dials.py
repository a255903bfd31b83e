"""What the contagion matrix of a market before a sudden fall rises with.

A closed form has R the same at any cross share where books are aligned and buffers uniform (card
C1). Here it depends on the size of the move. At that of the shock, 20 %, R rises with cross share,
alignment and open interest over depth. At 10 % it *falls* with the cross share: nobody stands close
to maintenance, and a move of one market reaches a pool that holds three a third as far; what passes
from one market to another rises even then.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketsim.contagion.matrix import ContagionMatrix
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.study.statistics import paired_difference
from tests.verification.quiet import QUIET

SEEDS = range(16)
#: A market whose depth is a dial, and a fall of BTC at once.
SUDDEN_FALL = Path(__file__).parents[2] / "experiments/contagion_threshold/scenario.toml"
SHOCK_STEP = 720
SHOCK = 0.2
HALF = 0.1


@cache
def before_shock(
    seed: int,
    cross: float = 0.6,
    alignment: float = 1.0,
    bias: float = 0.8,
    makers: float = 500e3,
) -> dict[float, ContagionMatrix]:
    """What a market's matrix is before the shock, by the size of its moves."""
    changes = [
        ("days", "0.5"),
        ("populations.crowd.margin_mode", f"{{ cross = {cross}, isolated = {1 - cross:.3f} }}"),
        ("populations.crowd.parameters.alignment", str(alignment)),
        ("populations.crowd.parameters.bias", str(bias)),
        ("populations.makers.capital", str(makers)),
    ]
    simulation = Simulation(load_scenario(SUDDEN_FALL, [*changes, *QUIET]), seed)
    simulation.run(SHOCK_STEP)
    return {delta: simulation.contagion(delta=delta) for delta in (HALF, SHOCK)}


def reproduction(delta: float = HALF, **dials: Any) -> np.ndarray:
    found = [before_shock(seed, **dials)[delta] for seed in SEEDS]
    return np.array([matrix.reproduction_on_paper("falls") for matrix in found])


def passed_on(**dials: Any) -> np.ndarray:
    """What a unit fall of one market moves the others by, mean over the markets that fall."""
    moves = [before_shock(seed, **dials)[HALF].on_paper[0] for seed in SEEDS]
    return np.array([(move.sum() - np.trace(move)) / len(move) for move in moves])


def rise(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    found = paired_difference(low, high).difference
    print(f"{low.mean():.3f} -> {high.mean():.3f}, rises by [{found.low:.3f}, {found.high:.3f}]")
    return found.low, found.high


@pytest.mark.slow
def test_r_rises_with_open_interest_over_depth():
    thin, usual, deep = (reproduction(makers=capital) for capital in (250e3, 500e3, 1000e3))
    assert rise(deep, usual)[0] > 0.0
    assert rise(usual, thin)[0] > 0.0


@pytest.mark.slow
def test_more_passes_to_other_markets_with_the_cross_share_and_with_thin_books():
    isolated, half, whole = (passed_on(cross=share) for share in (0.0, 0.5, 1.0))
    assert not isolated.any()
    assert rise(isolated, half)[0] > 0.0
    assert rise(half, whole)[0] > 0.0
    assert rise(passed_on(makers=1000e3), passed_on(makers=250e3))[0] > 0.0


@pytest.mark.slow
def test_more_passes_to_other_markets_where_crowds_are_aligned():
    apart, aligned = (passed_on(cross=1.0, bias=0.0, alignment=share) for share in (0.0, 1.0))
    assert rise(apart, aligned)[0] > 0.0


@pytest.mark.slow
def test_r_at_the_size_of_the_shock_rises_with_cross_share_alignment_and_thin_books():
    isolated, whole = (reproduction(cross=share, delta=SHOCK) for share in (0.0, 1.0))
    assert rise(isolated, whole)[0] > 0.0
    for bias in (0.0, 0.4):
        apart, aligned = (
            reproduction(cross=1.0, bias=bias, alignment=share, delta=SHOCK) for share in (0.0, 1.0)
        )
        assert rise(apart, aligned)[0] > 0.0
    deep, thin = (reproduction(makers=capital, delta=SHOCK) for capital in (1000e3, 250e3))
    assert rise(deep, thin)[0] > 0.0


@pytest.mark.slow
def test_r_at_half_that_size_falls_with_the_cross_share():
    assert rise(reproduction(cross=0.0), reproduction(cross=1.0))[1] < 0.0
