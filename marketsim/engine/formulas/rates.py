"""Premium, funding rate and funding payment."""

from typing import Any

import numpy as np

from marketsim.engine._jit import kernel


@kernel
def premium(impact_bid: float, impact_ask: float, index_price: float, premium_cap: float) -> float:
    r"""Measure how far a book stands from the index.

    .. math::
        (b - x)/x \;\text{if}\; b > x; \quad (a - x)/x \;\text{if}\; a < x; \quad
        \text{else}\; 0, \;\text{within}\; \pm c

    Parameters
    ----------
    impact_bid, impact_ask : float
        Average prices of selling and buying the impact notional; 0: the book is too thin.
    index_price : float
        Same unit.
    premium_cap : float
        Plain fraction; inf for none.

    Returns
    -------
    float
        Fraction of the index price.

    References
    ----------
    dYdX v4-chain, protocol/x/clob/memclob/memclob_get_premium_price_test.go,
    TestGetPremiumPrice; Hyperliquid docs, Funding (numerical example).

    Examples
    --------
    >>> round(premium(10_100.0, 10_200.0, 10_000.0, 1.0), 12), premium(0.0, 0.0, 10_000.0, 1.0)
    (0.01, 0.0)
    """
    sample = 0.0
    if impact_bid > index_price:
        sample = (impact_bid - index_price) / index_price
    elif 0.0 < impact_ask < index_price:
        sample = (impact_ask - index_price) / index_price
    return min(max(sample, -premium_cap), premium_cap)


@kernel
def dead_band_rate(average_premium: float, interest: float, dead_band: float) -> float:
    r"""Combine premium and interest.

    .. math:: P + \min(\beta, \max(-\beta, I - P)); \quad \text{without dead band}\; P + I

    Parameters
    ----------
    average_premium, interest : float
        Plain, per funding period.
    dead_band : float
        Plain; negative: the venue has none.

    Returns
    -------
    float
        Funding rate per period.

    References
    ----------
    Binance, Introduction to Binance Futures Funding Rates; Hyperliquid docs, Funding; without dead
    band: dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingTickEpoch_ProcessNewEpoch.

    Examples
    --------
    >>> dead_band_rate(0.0003, 0.0001, 0.0005), round(dead_band_rate(0.01, 0.0001, 0.0005), 12)
    (0.0001, 0.0095)
    """
    if dead_band < 0.0:
        return average_premium + interest
    pull = interest - average_premium
    if -dead_band <= pull <= dead_band:
        # P + (I - P) is not I to the last bit, and venues pay exactly I.
        return interest
    return average_premium + min(max(pull, -dead_band), dead_band)


@kernel
def cap_rate(rate: float, cap: float) -> float:
    r"""Bound a funding rate.

    .. math:: \min(c, \max(-c, F))

    Parameters
    ----------
    rate, cap : float
        Plain, per the same period; a cap of inf never binds.

    Returns
    -------
    float
        Per the same period.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingTickEpoch_ProcessNewEpoch.

    Examples
    --------
    >>> cap_rate(0.15, 0.12), cap_rate(-0.15, 0.12)
    (0.12, -0.12)
    """
    return min(max(rate, -cap), cap)


@kernel
def rate_cap(clamp_factor: float, initial: float, maintenance: float) -> float:
    r"""Derive the cap of the funding rate from the margin fractions.

    .. math:: k (i - m)

    Parameters
    ----------
    clamp_factor : float
        Plain.
    initial, maintenance : float
        Plain margin fractions.

    Returns
    -------
    float
        Plain, per funding period.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/types/liquidity_tier_test.go,
    TestLiquidityTierGetMaxAbsFundingClampPpm.

    Examples
    --------
    >>> round(rate_cap(6.0, 0.05, 0.03), 12)
    0.12
    """
    return clamp_factor * (initial - maintenance)


@kernel
def rate_cap_maintenance(factor: float, maintenance: float) -> float:
    r"""Derive the cap of the funding rate from the lowest tier's maintenance fraction.

    .. math:: k m

    Parameters
    ----------
    factor, maintenance : float
        Plain.

    Returns
    -------
    float
        Plain, per funding period.

    References
    ----------
    Binance, caps of the API record fundingInfo: 0.75 x lowest-tier maintenance fraction.

    Examples
    --------
    >>> rate_cap_maintenance(0.75, 0.005)
    0.00375
    """
    return factor * maintenance


@kernel
def interest_component(quote_rate: float, base_rate: float, intervals: float) -> float:
    r"""Derive the interest of a funding interval from the two daily lending rates.

    .. math:: (r_q - r_b) / n

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


@kernel
def plain_average(total: float, num_samples: int, min_samples: int) -> float:
    r"""Average premium samples, padded with zeros to the least number of them.

    .. math:: \sum P_k / \max(n, n_0)

    Parameters
    ----------
    total : float
        Sum of the samples.
    num_samples, min_samples : int
        Samples taken, and the number below which zeros are added.

    Returns
    -------
    float
        In the unit of the samples; 0 without any sample.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingTickEpoch_ProcessNewEpoch.

    Examples
    --------
    >>> plain_average(0.03, 30, 60)
    0.0005
    """
    count = max(num_samples, min_samples)
    return total / count if count > 0 else 0.0


@kernel
def weighted_average(samples: Any) -> float:
    r"""Average premium samples with weights 1 .. n, the newest heaviest.

    .. math:: \sum k P_k / \sum k

    Parameters
    ----------
    samples : ndarray of float64
        Oldest first.

    Returns
    -------
    float
        In the unit of the samples; 0 without any sample.

    References
    ----------
    Binance, Introduction to Binance Futures Funding Rates (time-weighted average premium).

    Examples
    --------
    >>> round(weighted_average(np.array([0.001, 0.002, 0.003])), 12)
    0.002333333333
    """
    total = 0.0
    weight = 0.0
    for k in range(len(samples)):
        total += (k + 1.0) * float(samples[k])
        weight += k + 1.0
    return total / weight if weight > 0.0 else 0.0


@kernel
def sample_median(votes: Any, min_votes: int) -> float:
    r"""Take the median of premium votes, padded with zeros to the least number of them.

    .. math:: \operatorname{median}(v_1, \dots, v_n, 0, \dots, 0)

    Parameters
    ----------
    votes : ndarray of float64
        In any order.
    min_votes : int
        Number of votes below which zeros are added.

    Returns
    -------
    float
        In the unit of the votes; an even count averages the middle two.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingSampleEpoch.

    Examples
    --------
    >>> sample_median(np.array([0.0002, -0.0001, 0.0001]), 4)
    5e-05
    """
    count = max(len(votes), min_votes)
    if count == 0:
        return 0.0
    ordered = np.zeros(count)
    for k in range(count):
        vote = votes[k] if k < len(votes) else 0.0
        place = k
        while place > 0 and ordered[place - 1] > vote:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = vote
    middle = count // 2
    if count % 2 == 1:
        return float(ordered[middle])
    return float((ordered[middle - 1] + ordered[middle]) / 2.0)


@kernel
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


@kernel
def funding_per_unit(rate: float, price: float, share: float) -> float:
    r"""Compute what one contract pays for an interval.

    .. math:: F p s

    Parameters
    ----------
    rate : float
        Plain, per funding period.
    price : float
        Settlement price.
    share : float
        Interval over period: the part of the rate paid now.

    Returns
    -------
    float
        In the unit of the price; positive is paid by longs.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/funding/funding_test.go, TestGetFundingIndexDelta.

    Examples
    --------
    >>> round(funding_per_unit(0.12, 50_000.0, 0.125), 9)
    750.0
    """
    return rate * price * share


@kernel
def funding_payment(notional: int, rate: float, share: float) -> int:
    r"""Compute the funding an account receives.

    .. math:: -\operatorname{round}(N F s)

    Parameters
    ----------
    notional : int
        Signed like the size, any money unit.
    rate : float
        Plain, per funding period.
    share : float
        Interval over period: the part of the rate paid now.

    Returns
    -------
    int
        In the unit of the notional, rounded half to even; positive is received.

    References
    ----------
    BitMEX, Perpetual Contracts Guide Examples.

    Examples
    --------
    >>> funding_payment(1_000_000, 0.0001, 1.0), funding_payment(-1_000_000, 0.0001, 0.125)
    (-100, 12)
    """
    return -int(np.rint(float(notional) * rate * share))
