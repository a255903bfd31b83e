"""Random draws that depend on nothing but their key: (seed, stream, key, step, k).

No generator is carried along, so the same trader has the same draws and the same asset the same
news whatever else happens, in whatever order draws are evaluated and by however many workers.

Every draw is one block of Philox4x32-10. Its 64-bit key is the seed; its 128-bit counter holds
the key of the trader or asset (64 bits), the step (32), the stream (8) and the number ``k`` of
the draw within the step (24), so no two draws share a block and neighbouring ones are unrelated.

References
----------
J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import hashlib
import math
from enum import IntEnum
from typing import Any

import numpy as np

from marketsim.engine._jit import kernel
from marketsim.engine.world import World


class Stream(IntEnum):
    """Sources of chance; the numbers are part of every result and never change."""

    SPOT_COMMON = 1  #: Gaussian part of the factor's return
    SPOT_OWN = 2  #: Gaussian part of an asset's own return
    REGIME = 3  #: calm or stress
    JUMP_COMMON = 4
    JUMP_OWN = 5
    SOURCE = 6  #: deviation of one spot venue
    BRIDGE = 7  #: path between two prices of a history
    SETUP = 8  #: capital and habits of a trader
    RANK = 9  #: fixed rank of an account, settles ties
    NETWORK = 10  #: who imitates whom
    WAKE = 11  #: when a trader looks at the market
    ORDER = 12  #: sequence of action within a step
    ACTION = 13  #: what a trader does
    OPINION = 14  #: long or short
    SIZE = 15
    PRICE = 16  #: where a limit order is placed
    LIQUIDATION = 17
    INTERVENTION = 18  #: whom a share of a population means
    TURNOVER = 19  #: who takes an account over, and when traders come and go
    VOLATILITY = 20  #: time scales of the factor's and the assets' volatility
    PROBE = 21  #: whose liquidation is forced to measure what follows
    DRAWN = 22  #: fields of a scenario that a run draws once


_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_TWELVE = np.uint64(12)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_STREAM_SHIFT = 24
_UNIT = 2.0**-52

#: Odd, so `index * stride` is different for every index: traders of a population never share a key.
_STRIDE = 0x9E3779B97F4A7C15


@kernel
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Return the four output words of Philox4x32-10; all words are uint64 below 2**32.

    Words are kept in 64 bits because a product of two of them fits there, so nothing wraps and
    plain numpy scalars compute the same without a warning.
    """
    for _ in range(10):
        product0 = _MULTIPLIER_0 * c0
        product1 = _MULTIPLIER_1 * c2
        c0 = (product1 >> _HALF) ^ c1 ^ k0
        c1 = product1 & _LOW
        c2 = (product0 >> _HALF) ^ c3 ^ k1
        c3 = product0 & _LOW
        k0 = (k0 + _WEYL_0) & _LOW
        k1 = (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@kernel
def block(seed: int, stream: int, key: int, step: int, k: int) -> Any:
    """Return the four words, uint64 below 2**32, that belong to a key; arguments as for `bits`."""
    return philox(
        np.uint64(key & 0xFFFFFFFF),
        np.uint64((key >> 32) & 0xFFFFFFFF),
        np.uint64(step & 0xFFFFFFFF),
        np.uint64((stream << _STREAM_SHIFT) | k),
        np.uint64(seed & 0xFFFFFFFF),
        np.uint64((seed >> 32) & 0xFFFFFFFF),
    )


@kernel
def bits(seed: int, stream: int, key: int, step: int, k: int) -> Any:
    """Return 64 random bits as uint64.

    Parameters
    ----------
    seed : int
        Of the run, any int64.
    stream : int
        A `Stream`, below 256.
    key : int
        Of the trader or asset, any int64.
    step : int
        From 0, below 2**32.
    k : int
        Number of the draw within stream, key and step, from 0, below 2**24.
    """
    low, high, _, _ = block(seed, stream, key, step, k)
    return low | (high << _HALF)


@kernel
def uniform(seed: int, stream: int, key: int, step: int, k: int) -> float:
    """Draw from the open interval (0, 1): odd multiples of 2**-53, arguments as for `bits`."""
    low, high, _, _ = block(seed, stream, key, step, k)
    return _unit(low, high)


@kernel
def _unit(low: Any, high: Any) -> float:
    """Return a number in (0, 1) made of the upper 52 of 64 bits."""
    return (float(np.int64((low | (high << _HALF)) >> _TWELVE)) + 0.5) * _UNIT


@kernel
def normal(seed: int, stream: int, key: int, step: int, k: int) -> float:
    """Draw from the standard normal law, arguments as for `bits`."""
    return normal_quantile(uniform(seed, stream, key, step, k))


@kernel
def normal_pair(seed: int, stream: int, key: int, step: int, k: int) -> Any:
    """Draw two independent standard normals at the price of one block, arguments as for `bits`."""
    low, high, low2, high2 = block(seed, stream, key, step, k)
    return normal_quantile(_unit(low, high)), normal_quantile(_unit(low2, high2))


@kernel
def exponential(seed: int, stream: int, key: int, step: int, k: int) -> float:
    """Draw from the exponential law of mean 1, arguments as for `bits`."""
    return -math.log(uniform(seed, stream, key, step, k))


@kernel
def normal_quantile(p: float) -> float:
    """Return the value a standard normal variable stays below with probability `p`.

    Five draws in six need no logarithm, and a larger uniform is always a larger normal.

    References
    ----------
    M. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
    Statistics 37 (1988), PPND16: relative accuracy about 1e-16.
    """
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2.5090809287301226727e3 * r + 3.3430575583588128105e4
        top = (top * r + 6.7265770927008700853e4) * r + 4.5921953931549871457e4
        top = (top * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3
        top = (top * r + 1.3314166789178437745e2) * r + 3.3871328727963666080e0
        bottom = 5.2264952788528545610e3 * r + 2.8729085735721942674e4
        bottom = (bottom * r + 3.9307895800092710610e4) * r + 2.1213794301586595867e4
        bottom = (bottom * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2
        bottom = (bottom * r + 4.2313330701600911252e1) * r + 1.0
        return top * q / bottom
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 7.74545014278341407640e-4 * r + 2.27238449892691845833e-2
        top = (top * r + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0
        top = (top * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0
        top = (top * r + 4.63033784615654529590e0) * r + 1.42343711074968357734e0
        bottom = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
        bottom = (bottom * r + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1
        bottom = (bottom * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0
        bottom = (bottom * r + 2.05319162663775882187e0) * r + 1.0
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
        top = (top * r + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2
        top = (top * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0
        top = (top * r + 5.46378491116411436990e0) * r + 6.65790464350110377720e0
        bottom = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
        bottom = (bottom * r + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4
        bottom = (bottom * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1
        bottom = (bottom * r + 5.99832206555887937690e-1) * r + 1.0
    return -top / bottom if q < 0.0 else top / bottom


@kernel
def lognormal_quantiles(p: Any, median: float, sigma: float, out: Any) -> None:
    """Overwrite `out` with the values a lognormal variable stays below with each probability."""
    for n in range(len(p)):
        out[n] = median * math.exp(sigma * normal_quantile(p[n]))


@kernel
def pareto_quantiles(p: Any, lowest: float, alpha: float, out: Any) -> None:
    """Overwrite `out` with the values a power-law variable stays below with each probability."""
    for n in range(len(p)):
        out[n] = lowest * math.exp(math.log(1.0 - p[n]) * (-1.0 / alpha))


@kernel
def fill_normal(seed: int, stream: int, key: int, first_step: int, out: Any) -> None:
    """Overwrite `out` with the normal draws 0 of consecutive steps."""
    for t in range(len(out)):
        out[t] = normal(seed, stream, key, first_step + t, 0)


@kernel
def fill_uniform(seed: int, stream: int, key: Any, step: int, k: int, out: Any) -> None:
    """Overwrite `out` with a uniform draw for each of an array of keys, arguments as for `bits`."""
    for n in range(len(key)):
        out[n] = uniform(seed, stream, key[n], step, k)


@kernel
def fill_exponential(seed: int, stream: int, key: Any, step: int, k: int, out: Any) -> None:
    """Overwrite `out` with an exponential draw for each of an array of keys."""
    for n in range(len(key)):
        out[n] = exponential(seed, stream, key[n], step, k)


@kernel
def draw_news(seed: int, t: int, world: World) -> None:
    """Draw what step `t` brings: overwrites the draws of the factor, the assets and the sources.

    Every draw is keyed by the name of its asset or source, never by its place in the scenario.
    The sizes of jumps are drawn only when one arrives; draws that nothing uses are left out.
    """
    factor = world.factor[0]
    if factor.is_random:
        draws = world.common_draw[0]
        draws.gauss = normal(seed, Stream.SPOT_COMMON, 0, t, 0)
        draws.regime = uniform(seed, Stream.REGIME, 0, t, 0)
        draws.jump = uniform(seed, Stream.JUMP_COMMON, 0, t, 0)
        if draws.jump < factor.jump_probability:
            draws.jump_gauss = normal(seed, Stream.JUMP_COMMON, 0, t, 1)
            draws.jump_side = uniform(seed, Stream.JUMP_COMMON, 0, t, 2)
            draws.jump_size = exponential(seed, Stream.JUMP_COMMON, 0, t, 3)
        _draw_scales(seed, t, world, 0, 0)
        for m in range(len(world.asset)):
            asset = world.asset[m]
            own = world.own_draw[m]
            _draw_scales(seed, t, world, m + 1, asset.key)
            own.gauss = normal(seed, Stream.SPOT_OWN, asset.key, t, 0)
            own.jump = uniform(seed, Stream.JUMP_OWN, asset.key, t, 0)
            if own.jump < asset.jump_probability:
                own.jump_gauss = normal(seed, Stream.JUMP_OWN, asset.key, t, 1)
                own.jump_side = uniform(seed, Stream.JUMP_OWN, asset.key, t, 2)
                own.jump_size = exponential(seed, Stream.JUMP_OWN, asset.key, t, 3)
    for k in range(len(world.source)):
        source = world.source[k]
        if source.deviation_sd > 0.0:
            source.gauss = normal(seed, Stream.SOURCE, source.key, t, 0)


@kernel
def _draw_scales(seed: int, t: int, world: World, row: int, key: int) -> None:
    """Draw what moves the time scales of a volatility, two at once.

    Where they stand before the first step is a draw, too: from their stationary law.
    """
    stream = Stream.VOLATILITY.value
    count = world.scale.shape[1]
    for k in range(0, count, 2):
        one, other = world.scale[row, k], world.scale[row, k + 1]
        if t == 0:
            one.value, other.value = normal_pair(seed, stream, key, t, count + k)
        if one.weight + other.weight > 0.0:
            one.gauss, other.gauss = normal_pair(seed, stream, key, t, k)


def trader_key(population: str, index: int) -> int:
    """Return the key of one trader, the same whatever other populations there are.

    Parameters
    ----------
    population : str
        Name of the population.
    index : int
        Number of the trader within it, from 0.

    Returns
    -------
    int
        An int64.

    Examples
    --------
    >>> trader_key("herd", 3) == int(trader_keys("herd", 10)[3])
    True
    """
    return _signed(_name_key("trader", population) + index * _STRIDE)


def newcomer_key(key: int, generation: int) -> int:
    """Return the key of the trader who is the `generation`-th to take over another's account.

    Parameters
    ----------
    key : int
        Of the account's first trader.
    generation : int
        From 1.

    Returns
    -------
    int
        An int64.

    Examples
    --------
    >>> newcomer_key(5, 1) == newcomer_key(5, 1), newcomer_key(5, 1) == newcomer_key(5, 2)
    (True, False)
    """
    return _signed(int(bits(0, int(Stream.TURNOVER), key, generation, 0)))


def trader_keys(population: str, num_traders: int) -> Any:
    """Return the keys of traders ``0 .. num_traders - 1`` of a population as an int64 array."""
    index = np.arange(num_traders, dtype=np.uint64)
    base = np.uint64(_name_key("trader", population))
    return (index * np.uint64(_STRIDE) + base).view(np.int64)


def asset_key(name: str) -> int:
    """Return the int64 key of an asset, market or spot venue from its name.

    Examples
    --------
    >>> asset_key("BTC") == asset_key("BTC"), asset_key("BTC") == asset_key("XRP")
    (True, False)
    """
    return _signed(_name_key("asset", name))


def field_key(path: str) -> int:
    """Return the int64 key of a scenario's field from its dotted path.

    Examples
    --------
    >>> field_key("spot.own.beta") == field_key("spot.own.drift")
    False
    """
    return _signed(_name_key("field", path))


def _name_key(kind: str, name: str) -> int:
    """Hash a name to 64 bits (Python's own `hash` changes from process to process)."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=kind.encode())
    return int.from_bytes(digest.digest(), "little")


def _signed(word: int) -> int:
    word %= 2**64
    return word - 2**64 if word >= 2**63 else word
