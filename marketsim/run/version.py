"""Which code a run was made with: what was saved or kept by another is not taken for this one's."""

from collections.abc import Iterable
from pathlib import Path

from marketsim.engine._sources import PACKAGE, digest_code, remembered

#: Parts of the package that decide how a run goes on.
RUN_SOURCES = (
    "engine",
    "streams.py",
    "tape",
    "scenario",
    "agents",
    "contagion",
    "run",
    "model",
)


def code_version(parts: Iterable[str] = RUN_SOURCES) -> str:
    """Hash the code of parts of the package.

    Parameters
    ----------
    parts : iterable of str
        Folders and files, relative to the package.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    files = sources_of(parts)
    version: str = remembered(files, lambda: digest_code(files))
    return version


def sources_of(parts: Iterable[str]) -> list[Path]:
    """List the files of parts of the package."""
    files: list[Path] = []
    for name in parts:
        path = PACKAGE / name
        found = [*path.rglob("*.py"), *path.rglob("*.toml")]
        files += sorted(found) if path.is_dir() else [path]
    return files
