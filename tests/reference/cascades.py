"""How liquidations hang together, told from a list of their causes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Liquidations tied by a smaller weight than this count as independent.
MIN_TIE = 0.05


@dataclass(frozen=True)
class Sale:
    """A liquidation: when, whose, of which pool's seizure, and how much it closed where."""

    step: int
    account: int
    seizure: int
    market: str
    usd: float


@dataclass(frozen=True)
class Reason:
    """Why a liquidation came, in part: where what was lost, and the liquidation to blame or -1."""

    liquidation: int
    market: str
    kind: str
    parent: int
    weight: float


@dataclass(frozen=True)
class Shock:
    """A scheduled shock and the losses that go back to it; no markets are all."""

    name: str
    losses: tuple[str, ...]
    markets: tuple[str, ...]
    start: float
    end: float

    def explains(self, reason: Reason, step: int) -> bool:
        """Whether a loss goes back to it; one that belongs to no market may."""
        is_here = not self.markets or reason.market in ("", *self.markets)
        return is_here and reason.kind in self.losses and self.start <= step <= self.end


@dataclass
class Story:
    """Liquidations that hang together."""

    members: list[int]
    root: str = ""
    matrix: dict[tuple[str, str], float] = field(default_factory=dict)  #: USD sold, lost where


@dataclass
class Links:
    """What each liquidation owes to whom."""

    parent: list[int]
    generation: list[int]
    shock: list[int]
    stories: list[Story]


def ties(reasons: Sequence[Reason], least: float) -> dict[tuple[int, int], float]:
    """Weight of every (cause, effect), whatever the markets the cause is named for."""
    weight: dict[tuple[int, int], float] = defaultdict(float)
    for reason in reasons:
        if reason.parent >= 0:
            weight[reason.parent, reason.liquidation] += reason.weight
    return {pair: each for pair, each in weight.items() if each >= least}


def link(
    sales: Sequence[Sale],
    reasons: Sequence[Reason],
    shocks: Sequence[Shock],
    least: float = MIN_TIE,
) -> Links:
    """Find everyone's parent, generation, shock and cascade.

    The parent is the liquidation most is owed to, the earliest of equals. Together hang cause and
    effect, legs of one seizure, and what goes back to the same shock.
    """
    tied = ties(reasons, least)
    shock = [shock_of(n, sale, reasons, shocks, least) for n, sale in enumerate(sales)]
    parent, generation = [], []
    for n in range(len(sales)):
        owed = [(-weight, cause) for (cause, effect), weight in tied.items() if effect == n]
        parent.append(min(owed)[1] if owed else -1)
        generation.append(generation[parent[n]] + 1 if owed else 0)
    beside: list[set[int]] = [set() for _ in sales]
    for cause, effect in tied:
        beside[cause].add(effect)
        beside[effect].add(cause)
    for n, sale in enumerate(sales):
        for other, its in enumerate(sales):
            if sale.seizure == its.seizure or (shock[n] == shock[other] >= 0):
                beside[n].add(other)
    links = Links(parent, generation, shock, [Story(each) for each in components(beside)])
    for story in links.stories:
        story.matrix = dollar_matrix(sales, reasons, story.members)
        story.root = root_of(story, links, sales, reasons, shocks)
    links.stories.sort(
        key=lambda each: (num_accounts(each, sales) == 1, -size_of(each, sales), each.members[0])
    )
    return links


def shock_of(
    n: int, sale: Sale, reasons: Sequence[Reason], shocks: Sequence[Shock], least: float
) -> int:
    """The shock that weighs most among a liquidation's causes, the latest of equals, or -1."""
    weight = [
        sum(
            reason.weight
            for reason in reasons
            if reason.liquidation == n and shock.explains(reason, sale.step)
        )
        for shock in shocks
    ]
    due = [(each, number) for number, each in enumerate(weight) if each > 0.0 and each >= least]
    return max(due)[1] if due else -1


def components(beside: Sequence[set[int]]) -> list[list[int]]:
    """Walk from everyone not yet met to whoever is tied to them."""
    met: set[int] = set()
    found = []
    for start in range(len(beside)):
        if start in met:
            continue
        reached, ahead = {start}, [start]
        while ahead:
            more = beside[ahead.pop()] - reached
            reached |= more
            ahead += more
        met |= reached
        found.append(sorted(reached))
    return found


def size_of(story: Story, sales: Sequence[Sale]) -> float:
    """USD liquidated in a cascade."""
    return sum(sales[n].usd for n in story.members)


def num_accounts(story: Story, sales: Sequence[Sale]) -> int:
    """How many accounts a cascade took down."""
    return len({sales[n].account for n in story.members})


def dollar_matrix(
    sales: Sequence[Sale], reasons: Sequence[Reason], members: Sequence[int]
) -> dict[tuple[str, str], float]:
    """USD liquidated in a market (first) because of losses in another (second).

    Losses that belong to no market are left out.
    """
    matrix: dict[tuple[str, str], float] = defaultdict(float)
    for reason in reasons:
        if reason.liquidation in members and reason.market:
            sale = sales[reason.liquidation]
            matrix[sale.market, reason.market] += reason.weight * sale.usd
    return dict(matrix)


def root_of(
    story: Story,
    links: Links,
    sales: Sequence[Sale],
    reasons: Sequence[Reason],
    shocks: Sequence[Shock],
) -> str:
    """Name what a cascade began with.

    The shock behind most of its dollars; without one, what its first generation lost most by, but
    for impacts of liquidations outside of it.
    """
    behind: dict[int, float] = defaultdict(float)
    for n in story.members:
        if links.shock[n] >= 0:
            behind[links.shock[n]] += sales[n].usd
    if behind:
        return shocks[max(sorted(behind), key=lambda each: behind[each])].name
    lost: dict[tuple[str, str], float] = defaultdict(float)
    for reason in reasons:
        n = reason.liquidation
        if n in story.members and links.generation[n] == 0 and reason.kind != "forced":
            lost[reason.kind, reason.market] += reason.weight * (sales[n].usd + 1e-9)
    if not lost:
        return "earlier liquidations"
    kind, market = max(sorted(lost), key=lambda each: lost[each])
    words = {"index": "drift of", "other": "order flow in", "funding": "funding of"}
    return f"{words.get(kind, kind)} {market}".strip()


def figures(
    sales: Sequence[Sale], reasons: Sequence[Reason], shocks: Sequence[Shock]
) -> dict[str, float]:
    """Sum up how liquidations spread; of the cascade of most dollars that took two accounts."""
    links = link(sales, reasons, shocks)
    forced = spilled = 0.0
    for reason in reasons:
        usd = reason.weight * sales[reason.liquidation].usd
        forced += usd if reason.kind == "forced" else 0.0
        spilled += usd if reason.market not in ("", sales[reason.liquidation].market) else 0.0
    spread = [each for each in links.stories if num_accounts(each, sales) > 1]
    spread = [each for each in spread if size_of(each, sales) > 0.0]
    found: dict[str, float] = {
        "forced_usd": forced,
        "spilled_usd": spilled,
        "cascades": len(spread),
        "cascaded_usd": sum(size_of(each, sales) for each in spread),
        "largest_cascade_usd": 0.0,
        "largest_cascade_accounts": 0,
        "largest_cascade_depth": 0,
    }
    if spread:
        largest = spread[0]
        found["largest_cascade_usd"] = size_of(largest, sales)
        found["largest_cascade_accounts"] = num_accounts(largest, sales)
        depth = max(links.generation[n] for n in largest.members) + 1
        found["largest_cascade_depth"] = depth
    return found
