"""One run of a sweep by its key: the scenario and seed that make it again, alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from marketsim.scenario.coercion import at_home
from marketsim.scenario.inputs import Input
from marketsim.scenario.schema import Scenario
from marketsim.sweep.lock import SweepFolderError
from marketsim.sweep.manifest import Manifest, read_manifest, read_plan
from marketsim.sweep.plan import KEY_DIGITS, make_point, model_version, resolve_scenario, run_key
from marketsim.sweep.sampling import Cells
from marketsim.sweep.store import read_runs


@dataclass(frozen=True)
class StoredRun:
    """A run as the sweep planned it, and what it left if it was made."""

    key: str
    scenario: Scenario
    seed: int
    status: str  #: "" if it was not made yet
    digest: str  #: "" unless it came to its end
    model: str  #: version of the model the sweep was made with
    inputs: tuple[Input, ...]  #: files the sweep was made from

    @property
    def is_same_model(self) -> bool:
        """Whether this package makes the numbers the sweep's did."""
        return self.model == model_version()


def find_run(path: str | Path, key: str) -> StoredRun:
    """Find a run of a sweep, made or only planned.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.
    key : str
        Of the run, or its first digits.

    Returns
    -------
    StoredRun

    Raises
    ------
    SweepFolderError
        If there is no such run, or more than one.
    """
    folder = at_home(path)
    manifest = read_manifest(folder)
    found = {}
    for table in read_runs(folder, ["key", "cell", "variant", "seed", "status", "digest"]):
        for row in table.filter(pc.starts_with(table["key"], pattern=key)).to_pylist():
            found[row["key"]] = row
    if not found:
        found = _planned(folder, manifest, key)
    if len(found) != 1:
        known = f"{len(found)} of its runs begin so" if found else "no run of it begins so"
        msg = f"{folder}: {key}: {known}; keys are the column key of `marketsim query`"
        raise SweepFolderError(msg)
    (row,) = found.values()
    point = make_point(Cells(manifest.design), row["cell"], row["variant"])
    return StoredRun(
        key=row["key"],
        scenario=resolve_scenario(manifest.tables, point.changes),
        seed=row["seed"],
        status=row.get("status", ""),
        digest=row.get("digest", ""),
        model=manifest.model,
        inputs=manifest.inputs,
    )


def _planned(folder: Path, manifest: Manifest, key: str) -> dict[str, dict[str, Any]]:
    """Find the planned runs whose keys begin with some digits."""
    found: dict[str, dict[str, Any]] = {}
    if not key or len(key) > KEY_DIGITS:
        return found
    for row in read_plan(folder, manifest, ["cell", "variant", "scenario"]).to_pylist():
        for replicate in range(manifest.design.replicates):
            seed = manifest.design.seed + replicate
            whole = run_key(row["scenario"], seed, manifest.model)
            if whole.startswith(key):
                found.setdefault(whole, row | {"key": whole, "seed": seed})
    return found
