"""How far a sweep has come, from its folder alone."""

from pathlib import Path
from typing import Any

import numpy as np

from marketsim.scenario.coercion import at_home
from marketsim.sweep.lock import Shard, SweepFolderError, active_drivers, array_jobs, shard_of
from marketsim.sweep.manifest import FILE, Manifest, planned_keys, read_manifest, recorded_result
from marketsim.sweep.parts import list_labels
from marketsim.sweep.slurm import waiting_jobs
from marketsim.sweep.store import read_runs, stored_keys
from marketsim.sweep.table import result_hash
from marketsim.sweep.worker import ERROR, OK, QUARANTINED

#: Different errors that are listed.
MAX_ERRORS = 10


def sweep_status(path: str | Path) -> dict[str, Any]:
    """Sum up a sweep, finished or not.

    Parameters
    ----------
    path : str or Path
        Folder of the sweep.

    Returns
    -------
    dict
        ``runs`` planned, ``ok``, ``error`` and ``quarantined`` of them, ``missing``; ``wall_s``,
        the mean seconds of a run; ``errors``, the most frequent ones with their number and the key
        of one run each; ``drivers`` at work now, with the ``shard``, ``host``, ``process`` and
        SLURM ``job`` of each, and of one with a cluster its ``workers`` and the jobs ``waiting`` in
        SLURM's queue; ``queued``, the jobs of its arrays that wait there; ``shards`` that lack
        runs, with the number of those ``missing`` and whether a driver ``is_at_work``;
        ``result``, the hash of the results, None until all runs are there; ``recorded``, the one
        they had when they were all there for the first time, None until then; ``model``, the
        version that made them.

    Raises
    ------
    SweepFolderError
        If there is no sweep, or it is damaged.
    """
    folder = at_home(path)
    drivers = [{"shard": shard.label, **about} for shard, about in active_drivers(folder)]
    if drivers and not (folder / FILE).exists():
        msg = f"{folder}: no worker was there yet; {'; '.join(map(describe_driver, drivers))}"
        raise SweepFolderError(msg)
    manifest = read_manifest(folder)
    counts = dict.fromkeys((OK, ERROR, QUARANTINED), 0)
    errors: dict[str, dict[str, Any]] = {}
    seconds, timed = 0.0, 0
    for table in read_runs(folder, ["key", "status", "error", "wall_s"]):
        wall = table["wall_s"].to_numpy()
        seconds += float(np.nansum(wall))
        timed += int(np.isfinite(wall).sum())
        for row in table.select(["key", "status", "error"]).to_pylist():
            counts[row["status"]] += 1
            if row["status"] != OK:
                one = errors.setdefault(row["error"], {"runs": 0, "key": row["key"]})
                one["runs"] += 1
    ranked = sorted(errors.items(), key=lambda item: -item[1]["runs"])[:MAX_ERRORS]
    made = sum(counts.values())
    arrays = array_jobs(folder)
    return {
        "folder": str(folder),
        "name": manifest.design.name,
        "kind": manifest.design.kind,
        "runs": manifest.num_runs,
        **counts,
        "missing": manifest.num_runs - made,
        "wall_s": seconds / timed if timed else None,
        "errors": [{"error": text, **facts} for text, facts in ranked],
        "drivers": drivers,
        "queued": waiting_jobs(arrays) if arrays else [],
        "shards": _lacking(folder, manifest, {each["shard"] for each in drivers}),
        "result": result_hash(folder) if made == manifest.num_runs else None,
        "recorded": recorded_result(folder, manifest) or None,
        "model": manifest.model,
    }


def describe_driver(driver: dict[str, Any]) -> str:
    """Say who a driver is, and whether it has workers.

    Parameters
    ----------
    driver : dict
        As `sweep_status` lists it.

    Returns
    -------
    str
    """
    who = f"process {driver.get('process')} on {driver.get('host')}"
    who += f", job {driver['job']}" if driver.get("job") else ""
    who += "" if driver["shard"] == Shard().label else f", shard {driver['shard']}"
    workers, waiting = driver.get("workers"), driver.get("waiting")
    crew = "" if workers is None else f": {workers:,} workers"
    crew += f", {waiting:,} jobs in the queue" if waiting else ""
    return f"{'waits' if workers == 0 else 'at work'}: {who}{crew}"


def _lacking(folder: Path, manifest: Manifest, at_work: set[str]) -> list[dict[str, Any]]:
    """List the shards that lack runs, of the divisions that drivers have made."""
    seen = map(shard_of, {*list_labels(folder), *at_work})
    divisions = sorted({shard.count for shard in seen if shard.count > 1})
    if not divisions:
        return []
    keys = planned_keys(folder, manifest)
    is_missing = ~np.isin(keys, stored_keys(folder))
    shards = (Shard(number + 1, count) for count in divisions for number in range(count))
    found = ((shard, int(is_missing[shard.numbers(len(keys))].sum())) for shard in shards)
    return [
        {"shard": shard.label, "missing": missing, "is_at_work": shard.label in at_work}
        for shard, missing in found
        if missing
    ]
