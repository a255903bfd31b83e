"""Funding elsewhere: interest from lending rates, votes of many samplers, spreads of averages."""

from collections.abc import Sequence
from statistics import median

from tests.conformance.formulas.beside import beside


@beside
def interest_component(quote_rate: float, base_rate: float, intervals: float) -> float:
    r"""Derive the interest of a funding interval from the two daily lending rates.

    .. math:: (r_q - r_b) / n

    A venue here states the interest itself, per 8 h.

    Parameters
    ----------
    quote_rate, base_rate : float
        Plain, per day.
    intervals : float
        Funding intervals per day.

    Returns
    -------
    float
        Plain, per interval.

    References
    ----------
    BitMEX, Perpetual Contracts Guide Examples.

    Examples
    --------
    >>> interest_component(0.01, 0.0025, 3.0)
    0.0025
    """
    return (quote_rate - base_rate) / intervals


@beside
def sample_median(votes: Sequence[float], min_votes: int) -> float:
    r"""Take the median of premium votes, padded with zeros to the least number of them.

    .. math:: \operatorname{median}(v_1, \dots, v_n, 0, \dots, 0)

    A book here is sampled once a step, by the venue alone: there is nothing to vote about.

    Parameters
    ----------
    votes : sequence of float
        In any order.
    min_votes : int
        Number of votes below which zeros are added.

    Returns
    -------
    float
        In the unit of the votes; an even count averages the middle two; 0 without any vote.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingSampleEpoch.

    Examples
    --------
    >>> sample_median([0.0002, -0.0001, 0.0001], 4), sample_median([], 0)
    (5e-05, 0.0)
    """
    padded = [*votes, *[0.0] * (min_votes - len(votes))]
    return median(padded) if padded else 0.0


@beside
def twap_spread(
    mark_twap: float, oracle_twap: float, max_divergence: float, periods_per_day: float
) -> float:
    r"""Set funding per contract from the spread of two time-weighted prices.

    .. math:: \min(d x, \max(-d x, p - x)) / n

    Parameters
    ----------
    mark_twap, oracle_twap : float
        Any one price unit.
    max_divergence : float
        Plain fraction of the oracle price.
    periods_per_day : float
        Funding periods that share a day's spread.

    Returns
    -------
    float
        Quote per contract and period, in the unit of the prices.

    References
    ----------
    Drift protocol v2, programs/drift/src/math/funding/tests.rs.

    Examples
    --------
    >>> twap_spread(1_000.0, 50.0, 0.5, 1.0)
    25.0
    """
    bound = oracle_twap * max_divergence
    return min(max(mark_twap - oracle_twap, -bound), bound) / periods_per_day
