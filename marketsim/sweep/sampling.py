"""The cells of a design: which values its parameters take together."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketsim.sweep.design import MORRIS_LEVELS, SAMPLED, Design

#: Corners looked at one by one; of more, those in which all or one parameter is at an end.
MAX_CORNERS = 1024


class Cells:
    """The cells of a design, numbered from 0; values are made when asked for.

    Parameters
    ----------
    design : Design
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.names = design.parameter_names
        self._parameters = tuple(design.parameters.values())
        self._shape = tuple(len(each.levels or ()) for each in self._parameters)
        self._shares = _draw(design) if design.kind in SAMPLED else None

    def __len__(self) -> int:
        """Return the number of cells."""
        return count_cells(self.design)

    def values(self, cell: int) -> tuple[Any, ...]:
        """Return the value of each parameter in a cell; None where a table leaves it out."""
        if self.design.kind == "table":
            return tuple(self.design.table[cell].get(name) for name in self.names)
        if self._shares is not None:
            shares = map(float, self._shares[cell])
            return tuple(
                each.value(share) for each, share in zip(self._parameters, shares, strict=True)
            )
        places = np.unravel_index(cell, self._shape) if self._shape else ()
        return tuple(
            (each.levels or ())[int(place)]
            for each, place in zip(self._parameters, places, strict=True)
        )

    def changes(self, values: tuple[Any, ...]) -> list[tuple[str, Any]]:
        """Return the fields of the scenario a cell's values set."""
        if self.design.kind == "table":
            pairs = zip(self.names, values, strict=True)
            return [(name, value) for name, value in pairs if value is not None]
        return [
            change
            for name, each, value in zip(self.names, self._parameters, values, strict=True)
            for change in each.changes(name, value)
        ]

    def shares(self) -> NDArray[np.float64]:
        """Return where a drawn design's cells lie: (cells, parameters) shares of the ranges."""
        return np.empty((len(self), 0)) if self._shares is None else self._shares

    def corners(self) -> Iterator[tuple[Any, ...]]:
        """Go through the corners of a drawn design, which it need not touch itself.

        All of them if they are few; else every end of every parameter, beside the lowest and beside
        the highest values of the others.
        """
        if self._shares is None:
            return
        ends = [each.ends() for each in self._parameters]
        if np.prod([float(len(each)) for each in ends]) <= MAX_CORNERS:
            yield from product(*ends)
            return
        for others in (0, -1):
            corner = tuple(each[others] for each in ends)
            for place, each in enumerate(ends):
                for value in each:
                    yield (*corner[:place], value, *corner[place + 1 :])


def count_cells(design: Design) -> int:
    """Count the cells without making them.

    Parameters
    ----------
    design : Design

    Returns
    -------
    int
    """
    num = len(design.parameters)
    size = design.size or 0
    counts = {
        "table": len(design.table),
        "latin": size,
        "sobol": size,
        "morris": size * (num + 1),
        "saltelli": size * (num + 2),
    }
    if design.kind in counts:
        return counts[design.kind]
    cells = 1
    for each in design.parameters.values():
        cells *= len(each.levels or ())
    return cells


def _draw(design: Design) -> NDArray[np.float64]:
    """Draw points of the unit cube, a column per parameter, in the order their method needs."""
    num, size = len(design.parameters), design.size or 0
    if design.kind in ("latin", "sobol"):
        from scipy.stats import qmc

        sampler = qmc.LatinHypercube if design.kind == "latin" else qmc.Sobol
        return np.asarray(sampler(num, rng=design.seed).random(size))
    problem = {
        "num_vars": num,
        "names": list(design.parameters),
        "bounds": [[0.0, 1.0]] * num,
    }
    if design.kind == "morris":
        from SALib.sample import morris

        return np.asarray(
            morris.sample(problem, size, num_levels=MORRIS_LEVELS, seed=design.seed % 2**32)
        )
    from SALib.sample import sobol

    drawn = sobol.sample(problem, size, calc_second_order=False, seed=design.seed % 2**32)
    return np.asarray(drawn)
