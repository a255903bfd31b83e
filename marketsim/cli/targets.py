"""Where a command writes what it makes: a file that is asked for, or one named after its folder."""

from pathlib import Path

from marketsim.cli.errors import refuse


def choose_page(out: Path | None, folder: Path, what: str, force: bool) -> Path:
    """Return the HTML file to write; by default FOLDER-WHAT.html.

    Raises
    ------
    BadInputError
        If it has another ending, or is there and may not be replaced.
    """
    target = out or Path(f"{folder.resolve().name}-{what}.html")
    if target.suffix not in (".html", ".htm"):
        refuse(f"--out {target}: must end in .html")
    return spare(target, force)


def spare(target: Path, force: bool) -> Path:
    """Return a file to write unless it is there and may not be replaced.

    Raises
    ------
    BadInputError
    """
    if target.exists() and not force:
        refuse(f"{target}: is there already; --force replaces it")
    return target
