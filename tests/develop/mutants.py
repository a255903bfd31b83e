"""Errors put into what explains a run, one at a time, and the test that finds each.

    python -m tests.develop.mutants            # try all; write the table of docs/develop/mutants.md
    python -m tests.develop.mutants nine       # try one

Each is put into a copy of the package, without compilation, and the tests named beside it must fail
there. A mutant that survives is an error no test would find.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "develop" / "mutants.md"
#: The runs of the second opinion that most mutants are tried on.
EXPLANATIONS = "tests/reference/test_explanations.py"
#: What compares the venue on paper with the venue.
PAPER = ("tests/engine/test_paper.py", "tests/properties/test_paper.py")


class Mutant(NamedTuple):
    """An error: a passage of a file, what it is replaced by, and what that does."""

    name: str
    does: str
    file: str
    passage: str
    becomes: str
    tests: tuple[str, ...] = (EXPLANATIONS,)


MUTANTS = (
    Mutant(
        "latest",
        "a cascade's parent is the latest of equal weights, not the earliest",
        "contagion/ties.py",
        "np.lexsort((-ties.cause, ties.weight))",
        "np.lexsort((ties.cause, ties.weight))",
        ("tests/contagion/test_chain.py", EXPLANATIONS),
    ),
    Mutant(
        "nine",
        "`top_10_share` sums nine",
        "contagion/exposure.py",
        "share[:10]",
        "share[:9]",
    ),
    Mutant(
        "closed legs",
        "legs closed since a pool was safe are left out of its losses",
        "engine/causes.py",
        "position.pool == p and (position.size != 0 or is_counted)",
        "position.pool == p and position.size != 0",
    ),
    Mutant(
        "recovery",
        "an impact also fades by what the index moved",
        "engine/causes.py",
        "recovered = min(back, against_index)",
        "recovered = back",
    ),
    Mutant(
        "trading cost",
        "what trades cost against the mark is not counted",
        "engine/causes.py",
        "state.tally[i, m].fees += cost",
        "state.tally[i, m].fees += 0",
    ),
    Mutant(
        "blame",
        "a liquidation is blamed for impacts that helped the position",
        "contagion/blame.py",
        "hurts = size * loss.size < 0.0",
        "hurts = size * loss.size != 0.0",
    ),
    Mutant(
        "generation",
        "everything with a parent is of the first generation after",
        "contagion/ties.py",
        "generation[n] = generation[parent[n]] + 1",
        "generation[n] = 1",
    ),
    Mutant(
        "spilled",
        "losses in the market sold in count as spilled, those elsewhere do not",
        "contagion/ties.py",
        '(causes["market"] != sold)',
        '(causes["market"] == sold)',
    ),
    Mutant(
        "depth",
        "what must be sold is measured against the asks",
        "contagion/response.py",
        "bids if net > 0.0 else asks",
        "asks if net > 0.0 else bids",
    ),
    Mutant(
        "already short",
        "pools below maintenance before the move count as seized by it",
        "contagion/response.py",
        "if 0 <= pool.equity - pool.maintenance < reach:",
        "if pool.equity - pool.maintenance < reach:",
    ),
    Mutant(
        "stale fund",
        "every pool closed on paper finds the fund as the one before has left it",
        "engine/paper.py",
        "_copy_main(state, len(state.account) - 1, paper, widen(FUND))",
        "paper.pool[FUND].owner = FUND",
        PAPER,
    ),
    Mutant(
        "one round",
        "a step on paper has one round of liquidation, whatever the venue's rule",
        "contagion/response.py",
        "range(lone.venue[0].max_rounds)",
        "range(1)",
        PAPER,
    ),
    Mutant(
        "transposed",
        "a matrix says who moved in place of who follows",
        "contagion/response.py",
        "response[side, j, k] = sign",
        "response[side, k, j] = sign",
    ),
    Mutant(
        "spectrum",
        "R is the smallest eigenvalue, not the spectral radius",
        "contagion/recorder.py",
        "matrix, 0.0))).max(axis=-1)",
        "matrix, 0.0))).min(axis=-1)",
    ),
)


def put(mutant: Mutant, package: Path) -> None:
    """Put a mutant into a copy of the package.

    Raises
    ------
    ValueError
        If the passage does not stand there exactly once.
    """
    file = package / mutant.file
    text = file.read_text()
    if text.count(mutant.passage) != 1:
        raise ValueError(f"{mutant.name}: {mutant.file} has no single {mutant.passage!r}")
    file.write_text(text.replace(mutant.passage, mutant.becomes))


def find_killer(mutant: Mutant) -> str | None:
    """Run the tests of a mutant; return the first that fails, None if it survives."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("marketsim", "tests", "pyproject.toml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        put(mutant, Path(folder) / "marketsim")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests],
            cwd=folder,
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = re.search(r"^FAILED (\S+)", done.stdout, re.M)
    if done.returncode not in {0, 1} or (done.returncode and not failed):
        raise RuntimeError(f"{mutant.name}: the tests did not run:\n{done.stdout}{done.stderr}")
    return failed[1].partition("[")[0] if failed else None


def main() -> None:
    """Try the mutants named on the command line, or all of them and write the page."""
    named = sys.argv[1:]
    rows = []
    for mutant in MUTANTS:
        if not named or mutant.name in named:
            killer = find_killer(mutant)
            print(f"{mutant.name}: {killer or 'SURVIVES'}", flush=True)
            rows.append(f"| {mutant.name} | `{mutant.file}` | {mutant.does} | `{killer}` |\n")
    if not named:
        head = PAGE.read_text().partition("| mutant |")[0]
        table = "| mutant | file | what it does | killed by |\n| --- | --- | --- | --- |\n"
        PAGE.write_text(head + table + "".join(rows))


if __name__ == "__main__":
    main()
