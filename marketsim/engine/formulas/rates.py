"""Premium, funding rate and funding payment."""

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
def padded_average(weighted_sum: float, weight: float, least_weight: float) -> float:
    r"""Average premium samples, padded with zeros to the least number of them.

    .. math:: \sum w_k P_k / \max(\sum_{k \le n} w_k, \sum_{k \le n_0} w_k)

    Parameters
    ----------
    weighted_sum : float
        Of the samples, each times its weight: 1, or 1, 2, ... n from the oldest to the newest.
    weight : float
        Sum of the weights of the samples taken.
    least_weight : float
        Sum of the weights of the number of samples below which zeros are added.

    Returns
    -------
    float
        In the unit of the samples; 0 without any sample.

    References
    ----------
    dYdX v4-chain, protocol/x/perpetuals/keeper/perpetual_test.go,
    TestMaybeProcessNewFundingTickEpoch_ProcessNewEpoch (weights 1, padded); Binance, Introduction
    to Binance Futures Funding Rates (time-weighted average premium: weights 1 .. n).

    Examples
    --------
    >>> padded_average(0.03, 30.0, 60.0), padded_average(0.0, 0.0, 0.0)
    (0.0005, 0.0)
    >>> round(padded_average(1 * 0.001 + 2 * 0.002 + 3 * 0.003, 6.0, 0.0), 12)
    0.002333333333
    """
    count = max(weight, least_weight)
    return weighted_sum / count if count > 0.0 else 0.0


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
