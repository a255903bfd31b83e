"""How a run ends that cannot go on."""

from marketsim.tape.result import RunResult


class PriceOutOfRangeError(ArithmeticError):
    """A price left the range of prices its book can hold; names market, step and cure.

    Attributes
    ----------
    step : int
        The step that was not finished.
    market : str
    result : RunResult or None
        The steps before it, where the command line kept them.
    """

    def __init__(self, step: int, market: str, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.market = market
        self.result: RunResult | None = None
