"""`run.json`: what a run folder says it holds, read and checked."""

from pathlib import Path
from typing import Any

from marketsim.tape.files import RunFolderError, open_verified, read_record

#: What `run.json` says it is.
FORMAT = "marketsim-run"
#: Raised when an older reader would misread a newer folder.
FORMAT_VERSION = 4
#: Files of a run folder beside its tables.
RECORD_FILE, SCENARIO_FILE = "run.json", "scenario.toml"
#: How the note begins of a run that did not come to its end.
ENDED_EARLY = "ended early at"
#: Fields of `run.json` that a reader needs.
NEEDED = {
    *("scenario", "seed", "digest", "notes", "inputs"),
    *("summary", "versions", "tables", "scenario_file"),
}


def table_file(name: str) -> str:
    """Name the file of a table."""
    return f"{name}.parquet"


def listed_files(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """List what a run wrote beside its `run.json`: ``bytes`` and ``hash`` of each file.

    Parameters
    ----------
    record : dict
        As `describe` returns it.

    Returns
    -------
    dict of dict
    """
    tables = {table_file(name): facts for name, facts in record["tables"].items()}
    return {SCENARIO_FILE: record["scenario_file"], **tables}


def refuse_changed(folder: Path, hashes: dict[str, str]) -> None:
    """Say that `run.json` is not as it was written, and which files are not those it lists."""
    for name, expected in hashes.items():
        with open_verified(folder / name, expected, RunFolderError):
            pass
    msg = f"{folder / RECORD_FILE}: changed since the run was written: run the scenario again"
    raise RunFolderError(msg)


def describe(folder: Path) -> dict[str, Any]:
    """Read `run.json` and check its form.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict
        What it says, be it true or changed since.

    Raises
    ------
    RunFolderError
        If there is none, it is damaged, or of another format version.
    """
    file = folder / RECORD_FILE
    if not folder.is_dir():
        msg = f"{folder}: no such folder"
        raise RunFolderError(msg)
    try:
        record = read_record(file, RunFolderError)
    except FileNotFoundError as error:
        msg = f"{folder}: not a run folder (it has no {RECORD_FILE})"
        raise RunFolderError(msg) from error
    if record.get("format") != FORMAT:
        msg = f"{file}: not written by marketsim"
        raise RunFolderError(msg)
    if record.get("format_version") != FORMAT_VERSION:
        found = record.get("format_version")
        msg = f"{file}: format version {found}, this marketsim reads version {FORMAT_VERSION}"
        raise RunFolderError(msg)
    if missing := NEEDED - record.keys():
        msg = f"{file}: damaged, without {', '.join(sorted(missing))}"
        raise RunFolderError(msg)
    tables = record["tables"]
    listed = [record["scenario_file"], *(tables.values() if isinstance(tables, dict) else [None])]
    if not all(_states_file(facts) for facts in listed):
        msg = f"{file}: damaged, it does not state the bytes and the hash of every file"
        raise RunFolderError(msg)
    return record


def _states_file(facts: Any) -> bool:
    if not isinstance(facts, dict):
        return False
    return isinstance(facts.get("bytes"), int) and isinstance(facts.get("hash"), str)
