"""What is written when the site is built: a page asks for it by ``<!-- written: WHAT -->``."""

import re
from collections.abc import Callable, Mapping

from sphinx.application import Sphinx

from docs.extension.api import describe_api
from docs.extension.commands import describe_commands
from docs.extension.gallery import show_experiments, show_scenarios
from docs.extension.limits import list_limits
from marketsim import run_scenario
from marketsim.report.reference import describe_fields, describe_folder

#: Settings with which a run records every table there is.
EVERYTHING = (
    ("record.fills", "true"),
    ("record.depth_minutes", "60"),
    ("record.book_minutes", "300"),
    ("record.snapshot_minutes", "300"),
    ("populations.noise.turnover", "{stay_hours = 4.0, wait_hours = 1.0}"),
)
MARK = re.compile(r"^<!-- written: (\w+) -->$", flags=re.MULTILINE)


def folder() -> str:
    """Describe the folder of a short run that records all there is."""
    return describe_folder(run_scenario("contagion", seed=1, days=0.525, overrides=EVERYTHING))


#: What can be asked for, and who writes it.
WRITERS: Mapping[str, Callable[[], str]] = {
    "fields": describe_fields,
    "folder": folder,
    "commands": describe_commands,
    "api": describe_api,
    "scenarios": show_scenarios,
    "experiments": show_experiments,
    "limits": list_limits,
}


def fill(text: str) -> str:
    """Return a page with everything written that it asks for."""
    return MARK.sub(lambda mark: WRITERS[mark[1]](), text)


def _read(_: Sphinx, __: str, source: list[str]) -> None:
    source[0] = fill(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Fill pages as they are read."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
