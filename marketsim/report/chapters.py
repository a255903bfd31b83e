"""The chapters of a recording: where to stop when telling what happened, and what to say there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from marketsim.contagion.strikes import AFTERMATH_MINUTES, Strike
from marketsim.report.wire import Message

#: The build-up is shown so long before it ends.
BEFORE_HOURS = 1.0


@dataclass(frozen=True)
class Chapter:
    """A moment to stop at."""

    step: int  #: steps done
    title: str
    sentence: str  #: what the audience reads
    notes: str  #: what the speaker may say


def chapters_message(start: Message, frames: Message, strikes: Sequence[Strike]) -> Message:
    """Return the chapters of a lane as a message."""
    found = find_chapters(start.header, frames.arrays, strikes)
    return Message({"kind": "chapters", "chapters": [asdict(each) for each in found]})


def find_chapters(header: dict[str, Any], frames: Any, strikes: Sequence[Strike]) -> list[Chapter]:
    """Find build-up, shock, first liquidation, peak of R and end of the cascade.

    Parameters
    ----------
    header : dict
        Of the lane's "start".
    frames : mapping of ndarray
        Of its "frames", all in one.
    strikes : sequence of Strike
        Its shocks.
    """
    story = _Story(header, frames, strikes)
    found = [story.build_up(), story.shock(), story.first(), story.peak(), story.end()]
    return sorted((each for each in found if each is not None), key=lambda each: each.step)


class _Story:
    def __init__(self, header: dict[str, Any], frames: Any, strikes: Sequence[Strike]) -> None:
        self.header, self.frames = header, frames
        self.markets = header["markets"]
        self.steps = frames["step"]
        self.cascade = _largest_cascade(frames)
        self.strike = self._strike_before(strikes)

    def _strike_before(self, strikes: Sequence[Strike]) -> Strike | None:
        """Find the last shock before the largest cascade, one that moves prices if there is one."""
        known = [each for each in strikes if each.start < self.steps[-1]]
        if len(self.cascade):
            start = int(self.frames["liq_step"][self.cascade[0]])
            known = [each for each in known if each.start < start] or known
        moving = [each for each in known if "index" in each.losses]
        return next(reversed(moving or known), None)

    def row(self, step: float) -> int:
        place = int(np.searchsorted(self.steps, step, side="right")) - 1
        return min(max(place, 0), len(self.steps) - 1)

    def hours(self, step: float) -> float:
        return float(step * self.header["step_minutes"] / 60.0)

    def build_up(self) -> Chapter:
        span = BEFORE_HOURS * 60.0 / self.header["step_minutes"]
        ends = [float(self.steps[-1])]
        if self.strike is not None:
            ends.append(self.strike.start)
        if len(self.cascade):
            ends.append(float(self.frames["liq_step"][self.cascade[0]]))
        row = self.row(max(min(ends) - span, 1.0))
        interest = self.frames["interest"][row]
        m = int(np.argmax(interest))
        share = float(self.frames["long_share"][row, m])
        rate = float(self.frames["rate"][row, m])
        return Chapter(
            int(self.steps[row]),
            "Build-up",
            f"After {self.hours(self.steps[row]):.3g} hours {money(interest.sum())} of positions "
            f"are open; in {self.markets[m]} {_share(share)} of those who hold one are long, and "
            f"funding is {1e4 * rate:+.3g} bp per 8 h.",
            "Nothing has happened yet. Show who stands on which side, how much is borrowed (the "
            "vessels above their lines), and what the crowd pays to stay.",
        )

    def shock(self) -> Chapter | None:
        if self.strike is None:
            return None
        start = round(self.strike.start)
        lasting = self.strike.end - self.strike.start
        lasting -= AFTERMATH_MINUTES / self.header["step_minutes"]
        before, first = self.row(start), self.row(start + 1)
        after = self.row(start + max(round(lasting), 1))
        index = self.frames["index"]
        path = index[first : after + 1] / index[before] - 1.0
        moves = np.take_along_axis(path, np.abs(path).argmax(axis=0)[None], axis=0)[0]
        moved = [
            f"{name} {100 * move:+.3g} %"
            for name, move in zip(self.markets, moves, strict=True)
            if abs(move) >= 0.005
        ]
        what = f"the index moves by up to {', '.join(moved)}"
        return Chapter(
            int(self.steps[before]),
            "Shock",
            f"{_capital(self.strike.name)}{f': {what}' if moved else ' begins'}.",
            "The moment before. What comes is news, from outside; all that follows is what the "
            "market does with it. Let the audience guess where the price will be in an hour.",
        )

    def first(self) -> Chapter | None:
        if not len(self.cascade):
            return None
        n, columns = int(self.cascade[0]), self.frames
        side = "long" if columns["liq_side"][n] == 0 else "short"
        took = "the book bought all of it"
        if columns["liq_fund"][n] > 0 or columns["liq_adl"][n] > 0:
            took = "the book did not take all of it"
        elif columns["liq_book"][n] == 0:
            took = "nothing of it was sold in this step"
        elif side == "short":
            took = "the book sold all of it"
        return Chapter(
            int(columns["liq_step"][n]),
            "First liquidation",
            f"Account {columns['liq_account'][n]} falls below its maintenance margin: its "
            f"{side} of {money(columns['liq_usd'][n])} in "
            f"{self.markets[columns['liq_market'][n]]} is closed; {took}.",
            "Click it in the tree. Open the account: the margin sum shows what it had, what it had "
            "to hold, and what the last move took.",
        )

    def peak(self) -> Chapter | None:
        number = self.frames["reproduction"]
        known = np.nan_to_num(number.max(axis=1), nan=-1.0)
        row = int(np.argmax(known))
        if known[row] <= 0.0:
            return None
        side = "fall" if number[row, 0] >= number[row, 1] else "rise"
        word = "more than the move itself" if known[row] >= 1.0 else "less than the move itself"
        return Chapter(
            int(self.steps[row]),
            "Peak of R",
            f"R is {known[row]:.2f}: what a small {side} of prices forces to be traded moves them "
            f"by {known[row]:.2f} times as much again, {word}.",
            "The dial is computed from positions and books alone, before anything happens. Above 1 "
            "the venue is like dry wood: the spark does not matter any more.",
        )

    def end(self) -> Chapter | None:
        if not len(self.cascade):
            return None
        columns, rows = self.frames, self.cascade
        step = int(columns["liq_step"][rows].max())
        first, last = self.row(int(columns["liq_step"][rows[0]]) - 1), self.row(step)
        lost = float(columns["fund"][first] - columns["fund"][last])
        hit = np.unique(columns["liq_market"][rows])
        fund = f"the insurance fund {'lost' if lost > 0 else 'gained'} {money(abs(lost))}"
        generations = int(columns["liq_generation"][rows].max()) + 1
        depth = f"{generations} generations deep"
        if generations == 1:  # one shock or one pool took all of them
            depth = "none pushed by another"
        accounts = _counted(len(np.unique(columns["liq_account"][rows])), "account")
        return Chapter(
            step,
            "End of the cascade" if generations > 1 else "End of the liquidations",
            f"{accounts} and {money(columns['liq_usd'][rows].sum())} in "
            f"{_listed(self.markets, hit)} are gone, {depth}; {fund}.",
            "Compare with the guess, and with the ghost if there is one: the area between the two "
            "prices is what others were made to sell.",
        )


def _largest_cascade(frames: Any) -> Any:
    """Return the rows of the largest cascade, of several accounts if there is one such."""
    label = frames["liq_cascade"]
    if not len(label) or label[0] < 0:
        return np.arange(len(label))
    size = np.bincount(label, frames["liq_usd"])
    pairs = np.unique(np.stack([label, frames["liq_account"]]), axis=1)
    is_spread = np.bincount(pairs[0]) > 1
    if is_spread.any():
        size[~is_spread] = -1.0
    return np.flatnonzero(label == int(np.argmax(size)))


def money(usd: float) -> str:
    """Write an amount of USD shortly.

    Examples
    --------
    >>> money(1234.5), money(2_345_678), money(12.0)
    ('$1.23k', '$2.35M', '$12')
    """
    for unit, word in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(usd) >= unit:
            return f"${usd / unit:.3g}{word}"
    return f"${usd:.3g}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if np.isfinite(value) else "nobody"


def _listed(names: Sequence[str], places: Any) -> str:
    chosen = [names[int(m)] for m in places]
    return chosen[0] if len(chosen) == 1 else f"{', '.join(chosen[:-1])} and {chosen[-1]}"
