"""What a sweep's folder says of itself: its design, its plan, the columns of its runs."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from marketsim.scenario.inputs import Input, compare_inputs, read_inputs
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.differences import list_differences, refuse, refuse_changed
from marketsim.sweep.lock import DOOR, SweepFolderError, take_lock
from marketsim.sweep.lock import FOLDER as LOCKS
from marketsim.sweep.plan import KEY_DIGITS, Plan, distinct_points, run_keys
from marketsim.tape.files import (
    PARQUET,
    SEAL,
    UNFINISHED,
    atomic,
    hash_file,
    is_sealed,
    open_verified,
    read_record,
    seal,
)

FILE = "sweep.json"
PLAN_FILE = "plan.parquet"
#: Records the hash of the results once all runs are there.
RESULT_FILE = "result.json"
#: Of a sweep with more replicates than it was begun with: what it was known as then.
BEGUN_AS = "begun_as"
#: Where a cluster's jobs write what they say.
LOGS = "logs"
FORMAT = "marketsim-sweep"
FORMAT_VERSION = 2


@dataclass(frozen=True)
class Manifest:
    """A sweep as its folder describes it."""

    design: Design
    tables: dict[str, Any]  #: of the base scenario, changes of the whole design applied
    bases: dict[str, Any]  #: tables of the scenarios that are put in its place, by name
    model: str  #: version of what decides a run's figures
    metrics: tuple[str, ...]
    num_runs: int
    inputs: tuple[Input, ...]  #: files the runs are made from, as they were at the beginning
    plan_hash: str  #: of the file of the plan
    identity: str  #: of the sweep: a hash of all above, as it was begun

    def differences(self, plan: Plan) -> list[str]:
        """List what differs between the folder's design and a plan's, "here" and "there".

        More replicates are none: the runs that are there are the first of the plan's.
        """
        there = self.design
        if plan.design.replicates > there.replicates:
            there = there.model_copy(update={"replicates": plan.design.replicates})
        here = _facts(plan.design, plan.tables, plan.bases, plan.model)
        return list_differences(_facts(there, self.tables, self.bases, self.model), here)


def write_manifest(
    folder: Path, plan: Plan, metrics: tuple[str, ...], begun_as: str = ""
) -> Manifest:
    """Begin a sweep's folder, or state its plan anew.

    Parameters
    ----------
    folder : Path
    plan : Plan
    metrics : tuple of str
        Names of the figures its runs keep.
    begun_as : str, optional
        Identity of the sweep that is there.

    Returns
    -------
    Manifest
    """
    with atomic(folder / PLAN_FILE) as stream:
        pq.write_table(_plan_table(plan), stream, **PARQUET)
        plan_hash = hash_file(stream)
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": plan.model,
        "design": plan.design.model_dump(mode="json", exclude_none=True),
        "tables": plan.tables,
        "bases": plan.bases,
        "metrics": metrics,
        "runs": len(plan),
        "inputs": [each._asdict() for each in plan.inputs],
        "plan_hash": plan_hash,
    }
    if begun_as:
        record[BEGUN_AS] = begun_as
    with atomic(folder / FILE) as stream:
        stream.write(json.dumps(seal(record), indent=1).encode())
    return read_manifest(folder)


def read_manifest(folder: Path) -> Manifest:
    """Read what a sweep's folder says of itself.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Manifest

    Raises
    ------
    SweepFolderError
        If it is no folder of a sweep, or damaged, or of another format.
    """
    file = folder / FILE
    try:
        record = read_record(file, SweepFolderError)
    except (FileNotFoundError, NotADirectoryError):
        what = "not the folder of a sweep" if folder.exists() else "no such folder"
        msg = f"{folder}: {what} (it has no {FILE})"
        raise SweepFolderError(msg) from None
    if record.get("format") != FORMAT:
        kind = record.get("format")
        msg = f"{file}: {f'of a {kind}, not of a sweep' if kind else 'not written by marketsim'}"
        raise SweepFolderError(msg)
    if record.get("format_version") != FORMAT_VERSION:
        found = record.get("format_version")
        msg = f"{file}: format version {found}, this marketsim reads version {FORMAT_VERSION}"
        raise SweepFolderError(msg)
    if not is_sealed(record):
        msg = f"{file}: damaged, or changed since the sweep was begun; choose another folder"
        raise SweepFolderError(msg)
    return Manifest(
        design=parse_design(record["design"], str(file)),
        tables=record["tables"],
        bases=record.get("bases", {}),
        model=record["model"],
        metrics=tuple(record["metrics"]),
        num_runs=record["runs"],
        inputs=read_inputs(record["inputs"], file, SweepFolderError),
        plan_hash=record["plan_hash"],
        identity=_identity(record),
    )


def extend(folder: Path, plan: Plan) -> Manifest:
    """Plan more replicates of a sweep; the runs it has count on.

    Parameters
    ----------
    folder : Path
    plan : Plan
        Of the folder's design, as `claim` finds it, with at least its replicates.

    Returns
    -------
    Manifest
    """
    with (folder / LOCKS / DOOR).open("a+") as door:
        take_lock(door, wait=True)
        found = read_manifest(folder)  # another driver may have planned still more meanwhile
        if found.num_runs >= len(plan):
            return found
        return write_manifest(folder, plan, found.metrics, found.identity)


def _identity(record: dict[str, Any]) -> str:
    return str(record.get(BEGUN_AS, record.get(SEAL)))


def sweep_identity(folder: Path) -> str:
    """Return the hash of what a sweep's folder said of itself at first, "" if it says nothing.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    str

    Raises
    ------
    SweepFolderError
        If it cannot be read.
    """
    try:
        return _identity(read_record(folder / FILE, SweepFolderError))
    except FileNotFoundError:
        return ""


def open_plan(folder: Path, manifest: Manifest) -> IO[bytes]:
    """Open the file of a sweep's plan, verified.

    Parameters
    ----------
    folder : Path
    manifest : Manifest

    Returns
    -------
    file

    Raises
    ------
    SweepFolderError
        If it is missing, or does not hold what was planned.
    """
    return open_verified(folder / PLAN_FILE, manifest.plan_hash, SweepFolderError)


def read_plan(folder: Path, manifest: Manifest, columns: Sequence[str]) -> pa.Table:
    """Read columns of a sweep's plan, a row for each of its points.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
    columns : sequence of str

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    SweepFolderError
        If it is missing, or does not hold what was planned.
    """
    with open_plan(folder, manifest) as stream:
        # Without threads: those that read a stream of Python's may hang or abort as Python ends.
        return pq.read_table(
            stream, columns=list(columns), use_threads=False, page_checksum_verification=True
        )


def planned_keys(folder: Path, manifest: Manifest) -> Any:
    """Return the keys of a sweep's planned runs by their numbers.

    Parameters
    ----------
    folder : Path
    manifest : Manifest

    Returns
    -------
    ndarray
        (runs,) of ASCII.

    Raises
    ------
    SweepFolderError
        If the plan is missing, or does not hold what was planned.
    """
    column = read_plan(folder, manifest, ["scenario"])["scenario"]
    points = np.array(column.to_pylist(), f"S{KEY_DIGITS}")
    return run_keys(points[distinct_points(points)], manifest.design, manifest.model)


def record_result(folder: Path, manifest: Manifest, result: str) -> str:
    """Record the hash of a sweep's results when all its runs are there for the first time.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
    result : str

    Returns
    -------
    str
        What is recorded: `result`, or what was before.
    """
    if known := recorded_result(folder, manifest):
        return known
    record = {"sweep": manifest.identity, "runs": manifest.num_runs, "result": result}
    with atomic(folder / RESULT_FILE) as stream:
        stream.write(json.dumps(seal(record)).encode())
    return result


def recorded_result(folder: Path, manifest: Manifest) -> str:
    """Return the hash of a sweep's results as it was recorded.

    Parameters
    ----------
    folder : Path
    manifest : Manifest

    Returns
    -------
    str
        "" if the sweep never was complete with all its replicates.

    Raises
    ------
    SweepFolderError
        If the record is damaged, or another sweep's.
    """
    file = folder / RESULT_FILE
    try:
        record = read_record(file, SweepFolderError)
    except FileNotFoundError:
        return ""
    if not is_sealed(record) or record.get("sweep") != manifest.identity:
        msg = f"{file}: damaged, or another sweep's; remove it"
        raise SweepFolderError(msg)
    return str(record["result"]) if record.get("runs") == manifest.num_runs else ""


def claim(folder: Path, plan: Plan) -> Manifest | None:
    """Check that a folder is free for a plan, or its own, be it with fewer replicates.

    Parameters
    ----------
    folder : Path
    plan : Plan

    Returns
    -------
    Manifest or None
        None if the folder is yet to be begun.

    Raises
    ------
    SweepFolderError
        If the folder holds something else; of another design, or made from a file that has changed
        since, the difference is named.
    """
    if folder.exists() and not folder.is_dir():
        raise SweepFolderError(f"{folder}: exists and is not a folder; choose another name")
    if not (folder / FILE).exists():
        others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        strange = [name for name in others if not _is_beginning(name)]
        if strange:
            msg = f"{folder}: is not the folder of a sweep, it holds {strange[0]}; choose another"
            raise SweepFolderError(msg)
        return None
    found = read_manifest(folder)
    lines = found.differences(plan)
    changed = compare_inputs(found.inputs, plan.inputs)
    if lines and found.model != plan.model and len(lines) == 1:
        msg = (
            f"{folder}: was begun by marketsim {found.model}, this is {plan.model}; their runs do "
            "not mix: go on with that version, or choose another folder"
        )
        raise SweepFolderError(msg)
    if lines:
        lines = [*(text for _, text in changed), *lines]
        refuse(folder, "holds the sweep of another design; choose another folder", lines)
    refuse_changed(folder, changed)
    return found


def _is_beginning(name: str) -> bool:
    """Say whether a driver killed as it began a sweep may have left a file or folder."""
    unfinished = re.fullmatch(rf"\.({FILE}|{PLAN_FILE})\..*{UNFINISHED}", name)
    return name in (LOCKS, LOGS, PLAN_FILE) or unfinished is not None


def parameter_kind(values: Iterable[Any]) -> pa.DataType:
    """Return the type of a parameter's column: numbers, whole numbers or truths, else text.

    Parameters
    ----------
    values : iterable
        All it takes; None where a table leaves it out.

    Returns
    -------
    pyarrow.DataType
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def parameter_column(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    """Turn values of a parameter into a column; what is no text becomes JSON in a column of text.

    Parameters
    ----------
    values : iterable
    kind : pyarrow.DataType
        As `parameter_kind` returns it.

    Returns
    -------
    pyarrow.Array
    """
    if kind == pa.string():
        values = (v if isinstance(v, str | None) else json.dumps(v) for v in values)
    elif kind == pa.float64():
        values = (None if v is None else float(v) for v in values)
    return pa.array(list(values), kind)


def _plan_table(plan: Plan) -> pa.Table:
    numbers = np.arange(plan.num_points)
    cell, variant = np.divmod(numbers, len(plan.variants))
    columns = {
        "cell": pa.array(cell),
        "variant": pa.array(plan.variants).take(pa.array(variant)),
        "scenario": pa.array(plan.point_hash.astype(str).tolist(), pa.string()),
    }
    for place, name in enumerate(plan.parameters):
        values = [plan.cells.values(number)[place] for number in range(len(plan.cells))]
        column = parameter_column(values, parameter_kind(values))
        columns[name] = column.take(pa.array(cell))
    return pa.table(columns)


def _facts(
    design: Design, tables: dict[str, Any], bases: dict[str, Any], model: str
) -> dict[str, Any]:
    """Return what decides the runs and what is kept of them."""
    stated = design.model_dump(mode="json", exclude={"name", "description", "base"})
    return {"design": stated, "base": tables, "bases": bases, "model": model}
