"""What many runs say together: intervals, paired differences, sensitivity indices."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from marketsim.tape.moments import present
from marketsim.tape.result import Floats

#: Share of intervals that hold the true value.
LEVEL = 0.95
#: Draws of a bootstrap, enough for two digits of the ends of a 95 % interval.
RESAMPLES = 2000
#: Of the bootstraps, so that the same runs give the same intervals. SALib takes 0 for no seed.
BOOTSTRAP_SEED = 1
#: Runs below which there is no interval: two can agree by luck, and resampled give three means.
MIN_RUNS = 3
#: Points below which a random balance design says nothing: three periods of its ten harmonics.
MIN_POINTS = 60


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval; NaN ends: there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """What a change does to a figure, twin minus base, over pairs of runs of the same seed."""

    num_pairs: int
    base: float  #: mean of the base
    twin: float  #: mean of the twin
    difference: Interval  #: mean of twin - base, with its t interval
    variance_ratio: float  #: see `variance_ratio`


def bootstrap_mean(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Estimate a mean, with its BCa bootstrap interval.

    Parameters
    ----------
    values : array_like
        Of independent runs; those that are NaN do not count.
    level : float, optional
        Coverage aimed at.

    Returns
    -------
    Interval
        Without ends if there are fewer than `MIN_RUNS` values; all of them equal: the ends are that
        value.

    References
    ----------
    Efron, B. (1987). Better bootstrap confidence intervals. JASA 82, 171-185.
    """
    return bootstrap_means(np.asarray(values, np.float64)[:, None], level)[0]


def bootstrap_means(table: ArrayLike, level: float = LEVEL) -> list[Interval]:
    """Estimate the mean of every column as `bootstrap_mean` does, all at once.

    Parameters
    ----------
    table : array_like
        (n, k) k figures of n independent runs; those that are NaN do not count.
    level : float, optional

    Returns
    -------
    list of Interval
        Of each column.
    """
    from scipy.stats import bootstrap

    known = [present(column) for column in np.asarray(table, np.float64).T]
    found = [_plain_mean(column) for column in known]
    varied = [
        k for k, column in enumerate(known) if len(column) >= MIN_RUNS and np.ptp(column) > 0.0
    ]
    for count in {len(known[k]) for k in varied}:
        together = [k for k in varied if len(known[k]) == count]
        # In parts of their range: figures that differ in their last digits only would round away.
        spread = np.array([np.ptp(known[k]) for k in together])
        scaled = np.array([(known[k] - found[k].value) for k in together]) / spread[:, None]
        ends = bootstrap(
            (scaled,),
            np.mean,
            axis=1,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(BOOTSTRAP_SEED),
        ).confidence_interval
        for k, width, low, high in zip(together, spread, ends.low, ends.high, strict=True):
            mean = found[k].value
            found[k] = Interval(mean, float(mean + width * low), float(mean + width * high))
    return found


def _plain_mean(known: Floats) -> Interval:
    """Return the mean; only values that are all equal say how sure it is."""
    if not len(known):
        return Interval(math.nan, math.nan, math.nan)
    mean = float(known.mean())
    is_sure = len(known) >= MIN_RUNS and np.ptp(known) == 0.0
    return Interval(mean, mean, mean) if is_sure else Interval(mean, math.nan, math.nan)


def bootstrap_groups(
    groups: ArrayLike, figure: Callable[[Any], float], level: float = LEVEL
) -> Interval:
    """Estimate any figure of rows that come in groups, with its percentile bootstrap interval.

    Parameters
    ----------
    groups : array_like
        (n,) of each row: its seed, say. Groups are drawn whole, for their rows share their luck.
    figure : callable
        Given places of rows, in which one can stand more than once, returns the figure.
        Draws for which it is NaN do not count.
    level : float, optional
        Coverage aimed at.

    Returns
    -------
    Interval
        Without ends if there are fewer than `MIN_RUNS` groups.

    Examples
    --------
    >>> values = np.array([1.0, 2.0, 3.0, 4.0])
    >>> bootstrap_groups([7, 7, 8, 8], lambda rows: float(values[rows].mean()))
    Interval(value=2.5, low=nan, high=nan)
    """
    labels = np.asarray(groups)
    value = figure(np.arange(len(labels)))
    parts = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]
    if len(parts) < MIN_RUNS:
        return Interval(value, math.nan, math.nan)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    draws = rng.integers(len(parts), size=(RESAMPLES, len(parts)))
    found = present(np.array([figure(np.concatenate([parts[k] for k in draw])) for draw in draws]))
    if not len(found):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value, float(low), float(high))


def paired_difference(base: ArrayLike, twin: ArrayLike, level: float = LEVEL) -> PairedDifference:
    """Estimate the effect of a change from pairs of runs, with a paired t interval.

    Parameters
    ----------
    base, twin : array_like
        (n,) a figure without and with the change, pair by pair; a pair with a NaN does not count.
    level : float, optional
        Coverage of the interval.

    Returns
    -------
    PairedDifference
        The interval has no ends if there are fewer than `MIN_RUNS` pairs.

    Raises
    ------
    ValueError
        If the two are not of the same length.

    Examples
    --------
    >>> paired_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).difference
    Interval(value=1.0, low=1.0, high=1.0)
    """
    from scipy.stats import t

    one, other = np.asarray(base, np.float64), np.asarray(twin, np.float64)
    if one.shape != other.shape:
        raise ValueError(f"{one.shape} runs of the base and {other.shape} of the twin do not pair")
    is_known = ~(np.isnan(one) | np.isnan(other))
    one, other = one[is_known], other[is_known]
    n = len(one)
    if n == 0:
        nothing = Interval(math.nan, math.nan, math.nan)
        return PairedDifference(0, math.nan, math.nan, nothing, math.nan)
    change = other - one
    mean, half = float(change.mean()), math.nan
    if n >= MIN_RUNS:
        half = float(t.ppf(0.5 + level / 2, n - 1) * change.std(ddof=1) / math.sqrt(n))
    return PairedDifference(
        num_pairs=n,
        base=float(one.mean()),
        twin=float(other.mean()),
        difference=Interval(mean, mean - half, mean + half),
        variance_ratio=variance_ratio(one, other),
    )


def variance_ratio(base: ArrayLike, twin: ArrayLike) -> float:
    r"""Tell how much less a difference varies because its runs share their luck.

    .. math:: (\mathrm{Var}\,x + \mathrm{Var}\,y) / \mathrm{Var}(y - x)

    Parameters
    ----------
    base, twin : array_like
        (n,) a figure pair by pair, without NaN.

    Returns
    -------
    float
        How many times more pairs of independent seeds would need for the same interval; 1 if
        pairing does nothing, infinite if the difference is always the same, NaN if neither side
        varies or there are fewer than two pairs.

    References
    ----------
    Law, A. M. (2015). Simulation Modeling and Analysis, 5th ed., section 11.2.
    """
    one, other = np.asarray(base, np.float64), np.asarray(twin, np.float64)
    if len(one) < 2:
        return math.nan
    unpaired = float(one.var(ddof=1) + other.var(ddof=1))
    paired = float((other - one).var(ddof=1))
    if paired == 0.0:
        return math.inf if unpaired > 0.0 else math.nan
    return unpaired / paired


def morris_indices(
    names: Sequence[str], shares: ArrayLike, output: ArrayLike, levels: int
) -> dict[str, Interval]:
    """Screen parameters: mean absolute elementary effect of each, mu*.

    Parameters
    ----------
    names : sequence of str
        Of the D parameters.
    shares : array_like
        (n (D + 1), D) trajectories in the order they were drawn in, as shares (0 to 1) of the
        ranges.
    output : array_like
        (n (D + 1),) the figure of each row; a trajectory with a NaN does not count.
    levels : int
        Of the design's grid.

    Returns
    -------
    dict of Interval
        By parameter, in units of the output over a whole range; no ends and no value if the output
        never moves or fewer than two trajectories count.

    References
    ----------
    Campolongo, F., Cariboni, J. and Saltelli, A. (2007). Env. Modelling & Software 22, 1509-1518.
    """
    from SALib.analyze import morris

    figures, rows = _whole_blocks(output, len(names) + 1)
    if len(figures) < 2 * (len(names) + 1) or np.ptp(figures) == 0.0:
        return _undefined(names)
    found = morris.analyze(
        _problem(names),
        np.asarray(shares, np.float64)[rows],
        figures,
        num_levels=levels,
        conf_level=LEVEL,
        seed=BOOTSTRAP_SEED,
    )
    return _intervals(names, found["mu_star"], found["mu_star_conf"])


def sobol_indices(names: Sequence[str], output: ArrayLike) -> dict[str, dict[str, Interval]]:
    """Split an output's variance among the parameters.

    Parameters
    ----------
    names : sequence of str
        Of the D parameters.
    output : array_like
        (n (D + 2),) the figure of each row of a Saltelli design without second-order rows, in the
        order it was drawn in; a block of D + 2 with a NaN does not count.

    Returns
    -------
    dict
        ``first`` and ``total`` order indices by parameter; NaN if the output never moves or fewer
        than two blocks count.

    References
    ----------
    Saltelli, A. et al. (2010). Computer Physics Communications 181, 259-270.
    """
    from SALib.analyze import sobol

    figures, _ = _whole_blocks(output, len(names) + 2)
    if len(figures) < 2 * (len(names) + 2) or np.ptp(figures) == 0.0:
        return {"first": _undefined(names), "total": _undefined(names)}
    found = sobol.analyze(
        _problem(names),
        figures,
        calc_second_order=False,
        conf_level=LEVEL,
        seed=BOOTSTRAP_SEED,
    )
    return {
        "first": _intervals(names, found["S1"], found["S1_conf"]),
        "total": _intervals(names, found["ST"], found["ST_conf"]),
    }


def first_order_indices(
    names: Sequence[str], shares: ArrayLike, output: ArrayLike
) -> dict[str, Interval]:
    """Estimate the first-order share of each parameter in an output's variance from any sample.

    Parameters
    ----------
    names : sequence of str
        Of the D parameters.
    shares : array_like
        (n, D) points, evenly spread over the unit cube.
    output : array_like
        (n,) the figure of each row; those that are NaN do not count.

    Returns
    -------
    dict of Interval
        By parameter; NaN if the output never moves or fewer than `MIN_POINTS` rows count.

    References
    ----------
    Tarantola, S., Gatelli, D. and Mara, T. A. (2006). Random balance designs for the estimation of
    first order global sensitivity indices. Reliability Engineering & System Safety 91, 717-727.
    """
    from SALib.analyze import rbd_fast

    figures = np.asarray(output, np.float64)
    rows = ~np.isnan(figures)
    figures = figures[rows]
    if len(figures) < MIN_POINTS or np.ptp(figures) == 0.0:
        return _undefined(names)
    found = rbd_fast.analyze(
        _problem(names),
        np.asarray(shares, np.float64)[rows],
        figures,
        conf_level=LEVEL,
        seed=BOOTSTRAP_SEED,
    )
    return _intervals(names, found["S1"], found["S1_conf"])


def _whole_blocks(output: ArrayLike, length: int) -> tuple[Floats, Any]:
    """Leave out blocks of rows that lack a figure; return the rest and which rows they are."""
    figures = np.asarray(output, np.float64)
    whole = ~np.isnan(figures.reshape(-1, length)).any(axis=1)
    rows = np.repeat(whole, length)
    return figures[rows], rows


def _problem(names: Sequence[str]) -> dict[str, Any]:
    """Describe the parameters as SALib wants them, each as a share of its range."""
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


def _intervals(
    names: Sequence[str], values: Sequence[float], halves: Sequence[float]
) -> dict[str, Interval]:
    found = zip(names, values, halves, strict=True)
    return {
        name: Interval(float(value), float(value - half), float(value + half))
        for name, value, half in found
    }


def _undefined(names: Sequence[str]) -> dict[str, Interval]:
    return {name: Interval(math.nan, math.nan, math.nan) for name in names}
