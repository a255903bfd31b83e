"""Shocks say about themselves what others need; a kind that leaves something unsaid cannot be."""

from typing import Any, Literal, get_args

import pytest
from pydantic import TypeAdapter

from marketsim.contagion.attribution import LossKind
from marketsim.engine.state import NONE, UNLIMITED
from marketsim.engine.world import ShockKind
from marketsim.scenario.shocks import KINDS, AnyShock, Change, Row, Rule, Shock, _MarketShock

EXAMPLES: dict[str, dict[str, Any]] = {
    "jump": {"size": -0.2, "markets": ["BTC", "ETH"]},
    "crash": {"size": 0.15, "fall_minutes": 5.0, "hold_minutes": 3.0, "recovery_minutes": 20.0},
    "volatility": {"factor": 3.0, "minutes": 30.0, "fade_minutes": 15.0},
    "depth": {"factor": 0.25, "minutes": 30.0},
    "outage": {"source": "second", "minutes": 4.0, "mode": "wrong", "factor": 0.5},
    "depeg": {"size": -0.1, "fall_minutes": 10.0, "recovery_minutes": 0.0},
    "rule": {"field": "venue.mark.rule", "value": "last"},
}


def read(kind: str, **fields: Any) -> Shock:
    shock: Shock = TypeAdapter(AnyShock).validate_python(
        {"kind": kind, "at": 1.0, **EXAMPLES[kind], **fields}
    )
    return shock


def test_every_kind_is_tested_here_and_named_once() -> None:
    names = [get_args(kind.model_fields["kind"].annotation)[0] for kind in KINDS]
    assert names == list(EXAMPLES)


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("jump", "jump of BTC and ETH -20.0%"),
        ("crash", "crash of all markets +15.0%"),
        ("volatility", "volatility of all markets x 3"),
        ("depth", "depth of all markets x 0.25"),
        ("outage", "outage of all markets x 0.5"),
        ("depeg", "depeg -10.0%"),
        ("rule", "rule venue.mark.rule = last"),
    ],
)
def test_a_summary_calls_it_by_its_title(kind: str, title: str) -> None:
    assert read(kind).title == title


@pytest.mark.parametrize(
    ("kind", "minutes"),
    [
        ("jump", 0.0),
        ("crash", 28.0),
        ("volatility", 45.0),
        ("depth", 30.0),
        ("outage", 4.0),
        ("depeg", 10.0),
        ("rule", 0.0),
    ],
)
def test_it_acts_for_all_of_its_minutes(kind: str, minutes: float) -> None:
    assert read(kind).duration == minutes


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_it_brings_about_are_kinds_of_loss(kind: type[Shock]) -> None:
    assert kind.LOSSES
    assert set(kind.LOSSES) <= {loss.name.lower() for loss in LossKind}


def test_what_moves_spot_prices_has_a_side() -> None:
    sides = {kind: read(kind).side for kind in EXAMPLES}
    assert {kind for kind, side in sides.items() if side} == {"jump", "crash"}
    assert (sides["jump"], sides["crash"]) == (-1, 1)


def test_only_a_rule_changes_a_rule() -> None:
    rules = {kind: read(kind).rule for kind in EXAMPLES}
    assert rules.pop("rule") == Rule("venue.mark.rule", "last")
    assert set(rules.values()) == {None}


def rows(kind: str, **fields: Any) -> list[Row]:
    return read(kind, **fields).rows(["BTC", "SOL", "ETH"], ["first", "second"], 2.0)


def test_its_rows_say_in_steps_what_it_changes_where() -> None:
    start = {"start": 30}
    jump = start | {"kind": ShockKind.PRICE, "size": -0.2, "rise": 1, "hold": UNLIMITED}
    assert rows("jump") == [jump | {"market": 0}, jump | {"market": 2}]
    fading = {"rise": 3, "hold": 2, "recovery": 10, "remainder": 0.0}
    crash = start | {"kind": ShockKind.PRICE, "size": 0.15} | fading
    assert rows("crash", markets=["SOL"]) == [crash | {"market": 1}]
    lasting = start | {"rise": 1, "hold": 14}
    burst = lasting | {"kind": ShockKind.VOLATILITY, "size": 3.0, "recovery": 8}
    assert rows("volatility", markets=["SOL"]) == [burst | {"market": 1}]
    thin = lasting | {"kind": ShockKind.DEPTH, "size": 0.25, "recovery": 0}
    assert rows("depth", markets=["ETH"]) == [thin | {"market": 2}]
    wrong = start | {"kind": ShockKind.SOURCE_FACTOR, "size": 0.5, "rise": 1, "hold": 1}
    assert rows("outage", markets=["SOL"]) == [wrong | {"market": 1, "source": 3}]
    stale = wrong | {"kind": ShockKind.SOURCE_STALE, "size": 1.0}
    found = rows("outage", markets=["SOL"], mode="stale", factor=1.0)
    assert found == [stale | {"market": 1, "source": 3}]
    (depeg,) = rows("depeg")
    assert depeg["market"] == NONE
    assert depeg["kind"] == ShockKind.STABLE
    assert rows("rule") == []


class _Spoken(_MarketShock):
    """All that a kind must say, but its `kind`."""

    CHANGES = ShockKind.PRICE
    LOSSES = ("index",)
    TITLE = "flood of {where} {size:+.1%}"

    size: Change

    def envelope(self, step_minutes: float) -> Row:
        return {"size": self.size, "rise": 1}


def test_a_kind_that_says_all_can_be_made() -> None:
    class Flood(_Spoken):
        kind: Literal["flood"]

    flood = Flood(kind="flood", at=0.0, size=-0.5)
    assert flood.title == "flood of all markets -50.0%"
    assert flood.side == -1


@pytest.mark.parametrize("word", ["CHANGES", "LOSSES", "TITLE", "envelope"])
def test_a_kind_that_leaves_a_word_unsaid_cannot_be_made(word: str) -> None:
    said = {name: vars(_Spoken)[name] for name in ("CHANGES", "LOSSES", "TITLE", "envelope")}
    del said[word]
    fields = {"size": Change, "kind": Literal["flood"]}
    with pytest.raises(TypeError, match=f"Flood: a kind of shock must say its {word}"):
        type("Flood", (_MarketShock,), {**said, "__annotations__": fields, "__module__": __name__})


def test_a_title_can_only_name_what_there_is() -> None:
    with pytest.raises(TypeError, match=r"Flood.TITLE = 'flood by \{height\}': names no field"):

        class Flood(_Spoken):
            TITLE = "flood by {height}"

            kind: Literal["flood"]
