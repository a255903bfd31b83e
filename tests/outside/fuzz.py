"""Broken scenarios, designs, portfolios, targets and price files, for the loaders and the commands.

As a script, from the repository's root:
``python -m tests.outside.fuzz [--loaders N] [--commands N] [--processes N] [--seed N]``.
Each case is made from the seed and its number alone; ``--only N`` makes one again and shows it.
"""

import argparse
import copy
import json
import math
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import Result
from typer.testing import CliRunner

from marketsim.account.portfolio import load_portfolio
from marketsim.cli import app
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.history import HistoryError, load_history
from marketsim.scenario.loader import list_scenarios, load_scenario, read_tables
from marketsim.scenario.spot_model import History
from marketsim.study.calibrate import check_dials
from marketsim.study.targets import load_targets
from marketsim.sweep.design import load_design
from marketsim.sweep.plan import Plan

KINDS = ("scenario", "design", "portfolio", "targets", "prices")
#: Longest message, characters: twenty lines and the headings.
LONGEST_MESSAGE = 22_000
#: What takes longer than this hangs, seconds.
PATIENCE = 60

DESIGN = {
    "base": "quickstart",
    "kind": "latin",
    "size": 4,
    "seed": 3,
    "replicates": 2,
    "days": 0.05,
    "metrics": ["markets.*.liquidated_usd"],
    "keep": ["series"],
    "parameters": {
        "populations.noise.count": {"low": 2, "high": 9, "integer": True},
        "populations.holders.leverage": [2, 5.0],
        "spot.factor.volatility": {"low": 0.1, "high": 1.0, "log": True},
    },
    "variants": {"base": {}, "hourly": {"venue.funding.interval_hours": 1}},
    "set": {"populations.makers.count": 3, "venue.preset": "dydx"},
}
PORTFOLIO = {
    "name": "mine",
    "venue": {"preset": "binance"},
    "markets": {
        "BTC": {"price": 100_000.0, "tick_size": 0.1, "lot_size": 0.001},
        "ETH": {"price": 4_000.0, "tick_size": 0.01, "lot_size": 0.01},
    },
    "collateral": {"cash": 10_000.0, "stable": 500.0, "coins": {"BTC": 0.1}},
    "positions": {
        "BTC": {"size": 0.5, "entry_price": 95_000.0, "leverage": 10},
        "ETH": {"notional": -8_000.0, "collateral": 900.0},
    },
    "groups": {"alts": {"markets": ["ETH"], "draw_limit": 0.5, "collateral": 400.0}},
}
TARGETS = {
    "base": "quickstart",
    "days": 0.1,
    "trials": 2,
    "batch": 2,
    "seed": 5,
    "set": {"populations.noise.count": 5},
    "dials": {
        "spot.factor.volatility": {"low": 0.1, "high": 2.0, "log": True},
        "populations.makers.count": {"low": 1, "high": 4, "integer": True},
    },
    "targets": {
        "markets.BTC.mark_fall": 0.5,
        "markets.BTC.liquidated_usd": {"low": 0.0, "high": 1e6, "scale": 1e5, "weight": 2},
    },
}
#: What a small market needs in place of the library's numbers.
FEW = 4

#: Values that mean little anywhere.
ODD: tuple[Any, ...] = (
    *(math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, -0.0, 1e-9, 0.5, 1e30),
    *(0, 1, -1, 2, 7, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400),
    *(True, False, "", " ", "x", "never", "step", "none", "1", "1e3", "nan", "BTC", "base"),
    *("\x1b]0;owned\x07", "a\x00b", "\u202e\u2066", "é\n\t", "k" * 5_000, "../..", "~nobody/x"),
    *([], {}, [[]], [1, 2], ["BTC"], ["BTC", "BTC"], [{}], [None], {"kind": "x"}, {"": 1}),
    {"kind": "lognormal", "median": 1e300, "sigma": 10},
    {"kind": "choice", "values": [1, "never"], "weights": [0, 0]},
    {"kind": "mixture", "parts": [{"kind": "mixture", "parts": []}]},
    {"kind": "uniform", "min": -1e308, "max": 1e308},
    {"kind": "crash", "at": 1, "size": -0.5, "minutes": 3},
    [{"kind": "jump", "at": 1e308, "size": -0.5}, {"kind": "rule", "at": 0, "field": "venue"}],
    [{"kind": "jump", "at": 0, "size": -0.99999999}, {"kind": "depeg", "at": 0, "size": 100}],
)
PRICES = "time,asset,close\n" + "".join(
    f"2025-01-0{1 + hour // 24}T{hour % 24:02}:00:00Z,{asset},{price * (1 + hour / 1000):.2f}\n"
    for hour in range(48)
    for asset, price in (("BTC", 100_000), ("ETH", 4_000))
)
#: Cells of a price file that mean little.
ODD_CELLS = (
    *("", "nan", "inf", "-1", "0", "1e308", "1e-320", "abc", "1,5", '"', "\x1b[2J", "\x00", "é"),
    *("2025-13-45", "99999999999999999999", "-62135596800", "2025-01-01", "12:00", "NaT", "None"),
)


#: What is said of a file, or of what it amounts to, and not of a field.
ABOUT_THE_WHOLE = (
    "not a TOML file",
    "confirm with --yes",
    "maintenance margin",
    "above the market's limit",
    "write the path as path.to.field",
)


class Case(NamedTuple):
    """One broken file."""

    number: int
    kind: str
    content: bytes
    fields: tuple[str, ...]  #: paths of what was changed; empty: the text was, anywhere


def make_case(seed: int, number: int, kind: str | None = None) -> Case:
    """Make a case from the seed and its number alone."""
    rng = random.Random(f"{seed} {number}")
    kind = kind or rng.choice(KINDS)
    if kind == "prices":
        return Case(number, kind, break_prices(rng), ())
    tables = copy.deepcopy(_base(rng, kind))
    fields = tuple(_break_table(rng, tables) for _ in range(rng.choice((1, 1, 1, 2, 3))))
    content = to_toml(tables).encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        return Case(number, kind, break_text(rng, content), ())
    return Case(number, kind, content, fields)


def _base(rng: random.Random, kind: str) -> dict[str, Any]:
    if kind != "scenario":
        return {"design": DESIGN, "portfolio": PORTFOLIO, "targets": TARGETS}[kind]
    names = [name for name, _ in list_scenarios() if name != "history"]
    tables = read_tables(rng.choice(names))
    tables["days"] = 0.05
    tables["populations"] = {
        name: {**population, "count": FEW} for name, population in tables["populations"].items()
    }
    return tables


def _break_table(rng: random.Random, tables: dict[str, Any]) -> str:
    """Change one field somewhere; return its path."""
    above, node, key = rng.choice(list(places(tables)))
    how = rng.random()
    if how < 0.6:
        node[key] = copy.deepcopy(rng.choice(ODD))
        inside = node[key] if isinstance(node[key], dict) else ()
        return "/".join((above, str(key), *inside))
    if how < 0.7:
        del node[key]
    elif how < 0.8 and isinstance(node, dict):
        wrong = _mistyped(rng, key)
        node[wrong] = node.pop(key)
        return f"{above}/{wrong}"
    elif how < 0.9 and isinstance(node, dict):
        wrong = rng.choice(("extra", "Price", "kind", "base", "minutes", "quick", "k" * 3_000))
        node[wrong] = copy.deepcopy(rng.choice(ODD))
        return f"{above}/{wrong}"
    elif isinstance(node[key], int | float) and abs(node[key]) < 1e300:
        node[key] = node[key] * rng.choice((-1, 0, 1e3, 1e-3, 1e12, 1e-12))
    else:
        node[key] = [node[key]]
    return f"{above}/{key}"


def places(node: Any, above: str = "") -> Iterator[tuple[str, Any, Any]]:
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(entries):
        yield above, node, key
        if isinstance(value, dict | list):
            yield from places(value, f"{above}/{key}")


def _mistyped(rng: random.Random, key: str) -> str:
    place = rng.randrange(len(key) or 1)
    return (
        key[:place]
        + rng.choice(("", "x", "é", "\x1b", ".", key[place : place + 1] * 2))
        + (key[place + 1 :])
    )


def break_text(rng: random.Random, content: bytes) -> bytes:
    """Change bytes anywhere."""
    text = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(text) or 1)
        match rng.randrange(5):
            case 0:
                text[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                text[place:place] = rng.choice(
                    (b"[" * 2_000, b'"', b"=", b"\xff\xfe", b"9" * 5_000)
                )
            case 2:
                del text[place : place + rng.randrange(40)]
            case 3:
                del text[place:]
            case _:
                text[place:place] = text[place : place + 60]
    return bytes(text)


def break_prices(rng: random.Random) -> bytes:
    """Change rows, cells or bytes of a price file."""
    rows = [line.split(",") for line in PRICES.splitlines()]
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(rows))
        row = rows[place]
        match rng.randrange(6):
            case 0 | 1:
                row[rng.randrange(len(row))] = rng.choice(ODD_CELLS)
            case 2:
                rows.insert(place, list(row))
            case 3:
                del rows[place : place + rng.choice((1, 1, 30, 500))]
                rows = rows or [[""]]
            case 4:
                row.append("1") if rng.random() < 0.5 else row.pop()
                rows[place] = row or [""]
            case _:
                rng.shuffle(rows)
    content = "\n".join(map(",".join, rows)).encode()
    return break_text(rng, content) if rng.random() < 0.2 else content


def to_toml(tables: dict[str, Any]) -> str:
    """Write tables as TOML, those below the top on one line."""
    return "".join(f"{_text(key)} = {_toml(value)}\n" for key, value in tables.items())


def _text(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(map(_toml, value or [])) + "]"


# What must hold


def load(case: Case, folder: Path) -> None:
    """Read a case as Python would; what is wrong with it is raised."""
    file = folder / ("prices.csv" if case.kind == "prices" else f"{case.kind}.toml")
    file.write_bytes(case.content)
    with warnings.catch_warnings(action="ignore"):
        if case.kind == "scenario":
            load_scenario(file)
        elif case.kind == "design":
            Plan(load_design(file), most_runs=10_000)
        elif case.kind == "portfolio":
            load_portfolio(file)
        elif case.kind == "targets":
            check_dials(load_targets(file))
        else:
            load_history(History(path=file), ["BTC", "ETH"], 60.0)


def judge_loading(case: Case, folder: Path) -> str:
    """Return what is wrong with how a loader takes a case, or nothing."""
    try:
        with patience():
            load(case, folder)
    except (ScenarioError, HistoryError) as error:
        return judge_message(str(error), case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def arguments(case: Case, folder: Path, number: int) -> list[str]:
    """Return the command that reads a case; it writes into `folder`."""
    name = "prices.csv" if case.kind == "prices" else f"{case.kind}.toml"
    file = folder / name
    file.write_bytes(case.content)
    out = ["--out", str(folder / f"out{number}")]
    if case.kind == "scenario":
        return ["run", str(file), "--steps", "3", "--quiet", *out]
    if case.kind == "design":
        return ["sweep", str(file), "--workers", "1", "--quiet", *out]
    if case.kind == "portfolio":
        return ["stress", str(file), "--shock", "BTC=-20%", "--funding", "0.01%", "--quiet"]
    if case.kind == "targets":
        return ["calibrate", str(file), "--workers", "1", "--quiet", *out]
    few = [f"--set=populations.{name}.count={FEW}" for name in ("makers", "noise", "holders")]
    few += ["--set=markets={BTC={tick_size=0.1,lot_size=0.001},ETH={tick_size=0.01,lot_size=0.01}}"]
    few += ["--set=spot.kind=history", f"--set=spot.history.path={file}"]
    return ["run", "quickstart", "--steps", "3", "--quiet", *few, *out]


def judge_command(case: Case, folder: Path) -> str:
    """Return what is wrong with how a command, called in this process, takes a case."""
    with patience():
        done: Result = CliRunner().invoke(app, arguments(case, folder, case.number))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {done.exception}"
    return judge_end(done.exit_code, done.stderr, case)


def judge_process(case: Case, folder: Path) -> str:
    """Return what is wrong with how a process takes a case."""
    command = [sys.executable, "-m", "marketsim.cli", *arguments(case, folder, case.number)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"no end within {PATIENCE} s"
    return judge_end(done.returncode, done.stderr.decode(errors="replace"), case)


def judge_end(code: int, said: str, case: Case) -> str:
    """Judge an exit code and what was said on standard error."""
    if "Traceback" in said:
        return f"a traceback: {said[-2000:]}"
    if code == 0 or (code in (1, 3) and _is_the_models(code, said)):
        return ""
    if code != 2:
        return f"exit code {code}: {said[-500:]}"
    return judge_message(said, case)


def _is_the_models(code: int, said: str) -> bool:
    """Tell whether it is the run that failed, with a reason, and not what was asked."""
    return code == 3 or "left the range of its book" in said


def judge_message(said: str, case: Case) -> str:
    """Judge what is said about a case that was refused."""
    if not said.strip():
        return "nothing is said"
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said):
        return f"control characters: {said[:500]!r}"
    if len(said) > LONGEST_MESSAGE:
        return f"a message of {len(said)} characters"
    names = {name[:40] for path in case.fields for name in re.findall(r"[\w-]+", path)}
    if names and not _is_of_whole(said) and not any(name in said for name in names):
        return f"none of the fields {case.fields} is named: {said[:500]}"
    return ""


def _is_of_whole(said: str) -> bool:
    """Tell whether a message is about the file, or what it amounts to, and not about a field."""
    return any(words in said for words in ABOUT_THE_WHOLE)


class HangError(Exception):
    """A case took too long."""


class patience:
    """Raise if what is done within takes too long."""

    def __enter__(self) -> None:
        def give_up(*_: Any) -> None:
            raise HangError(f"no end within {PATIENCE} s")

        self._before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(PATIENCE)

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, self._before)


def warm_up() -> None:
    """Compile what commands need, so that no case waits for it."""
    for kind, tables in (("scenario", read_tables("quickstart")), ("portfolio", PORTFOLIO)):
        with tempfile.TemporaryDirectory() as folder:
            case = Case(0, kind, to_toml(tables).encode(), ())
            done = CliRunner().invoke(app, arguments(case, Path(folder), 0))
            assert done.exit_code == 0, done.output


def run_cases(
    judge: Callable[[Case, Path], str], numbers: range, seed: int, kinds: tuple[str, ...] = KINDS
) -> Iterator[tuple[Case, str]]:
    """Judge cases; give those that are wrong, each with what is."""
    for number in numbers:
        case = make_case(seed, number, kinds[number % len(kinds)])
        with tempfile.TemporaryDirectory() as folder:
            wrong = judge(case, Path(folder))
        if wrong:
            yield case, wrong


def main() -> int:
    """Run as many cases as are asked for; end with 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loaders", type=int, default=8_000)
    parser.add_argument("--commands", type=int, default=2_000)
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--kind", choices=KINDS)
    asked = parser.parse_args()
    kinds = (asked.kind,) if asked.kind else KINDS
    total = 0
    warm_up()
    for judge, count in (
        (judge_loading, asked.loaders),
        (judge_command, asked.commands),
        (judge_process, asked.processes),
    ):
        numbers = (
            range(count) if asked.only is None else range(asked.only, asked.only + bool(count))
        )
        began = time.time()
        for case, wrong in run_cases(judge, numbers, asked.seed, kinds):
            total += 1
            print(f"{judge.__name__} {case.number} {case.kind} {case.fields}: {wrong[:700]}")
            if asked.only is not None:
                print(case.content.decode(errors="replace"))
        print(
            f"{judge.__name__}: {len(numbers):,} cases in {time.time() - began:.0f} s", flush=True
        )
    print(f"{total} wrong")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
