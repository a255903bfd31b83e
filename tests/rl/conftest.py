"""A small market for learners. Without the extra `rl` each file here is skipped, and says so."""

from pathlib import Path

import pytest

SCENARIO = """\
name = "small"
days = 0.125
insurance_fund = 10_000

[markets.ONE]
price = 100.0
tick_size = 0.01
lot_size = 0.01

[venue.funding]
interval_hours = 1

[spot]
kind = "factor"

[populations.makers]
strategy = "maker"
count = 2
capital = 100_000.0

[populations.noise]
strategy = "noise"
count = 6
capital = 5_000.0
attention = 5.0

[populations.me]
strategy = "manual"
count = 1
capital = 10_000.0
leverage = 4.0
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    """File of a scenario of nine traders and three hours, one of them a learner."""
    file = tmp_path / "small.toml"
    file.write_text(SCENARIO)
    return str(file)
