"""What experiments ask and have found, in lines for a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def result_lines(result: dict[str, Any], target: Path, quiet: bool) -> list[str]:
    """Say what an experiment has found and how its predictions did.

    Parameters
    ----------
    result : dict
        As `marketsim.report.experiment.report` returns it.
    target : Path
        Where results and figure are.
    quiet : bool
        Only say where.

    Returns
    -------
    list of str
    """
    lines = []
    if not quiet:
        lines = [result["question"], result["headline"], ""]
        for check in result["checks"]:
            source = f"{check['prediction']} ({check['source']})"
            lines += [f"{check['verdict']:>9}  {source}", f"{'':>9}  found: {check['found']}"]
    return [*lines, f"{result['runs']:,} runs; results and figure in {target}"]


def list_lines(experiments: Sequence[dict[str, Any]]) -> list[str]:
    """List experiments with what their last full run found.

    Parameters
    ----------
    experiments : sequence of dict
        As `marketsim.report.experiment.list_experiments` returns them.

    Returns
    -------
    list of str
    """
    lines = []
    for each in experiments:
        found = each["full"]["headline"] if each["full"] else "not run in full yet"
        lines += [f"{each['experiment']}: {each['question']}", f"    {found}"]
        if each["changed"]:
            changed = ", ".join(each["changed"])
            lines.append(f"    not of these files: {changed} changed since; run it with --full")
    return lines
