"""The scores that are told of policies that learnt nothing are those of the markets of today."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")

import gymnasium as gym

from marketsim.rl import BASELINES, TASKS, score

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "learning-agents.md"
SCORES = ROOT / "experiments" / "learning_carry" / "scores.csv"
SEEDS = range(20)


def told_scores() -> dict[tuple[str, str], float]:
    """Return the means that the page tells, by task and policy."""
    text = PAGE.read_text(encoding="utf-8").split("## Yardsticks")[1]
    lines = re.findall(r"^\|(.*)\|$", text, flags=re.MULTILINE)
    (_, *policies), _, *rows = ([cell.strip("` ") for cell in line.split("|")] for line in lines)
    return {
        (task, policy): float(cell)
        for task, *cells in rows
        for policy, cell in zip(policies, cells, strict=True)
        if cell
    }


def test_the_page_tells_of_every_task_and_policy_that_fits_it():
    told = told_scores()
    assert {task for task, _ in told} == set(TASKS)
    assert {policy for _, policy in told} == set(BASELINES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "policy"),
    [
        ("marketsim/Carry-v0", "carry"),
        ("marketsim/Deleverage-v0", "basis"),
        ("marketsim/MarketMaker-v0", "random"),
        ("marketsim/RiskDesk-v0", "nothing"),
    ],
)
def test_a_yardstick_is_what_the_page_tells(task, policy):
    found = score(gym.make(task), BASELINES[policy], SEEDS)
    assert np.mean(found) == pytest.approx(told_scores()[task, policy], abs=0.0006)


@pytest.mark.slow
def test_the_learner_was_compared_with_the_yardsticks_of_today():
    with SCORES.open(encoding="utf-8") as stream:
        first = next(csv.DictReader(stream))
    env = gym.make("marketsim/Carry-v0")
    for name, policy in BASELINES.items():
        (found,) = score(env, policy, [int(first["seed"])])
        assert found == pytest.approx(float(first[name]), rel=1e-9), name
