"""A run that is saved on its way, and one that goes on from there."""

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from marketsim.cli.errors import FAILURE, refuse, say
from marketsim.cli.trust import confirm_strategies

if TYPE_CHECKING:
    from marketsim.run.progress import Progress
    from marketsim.run.simulation import Simulation
    from marketsim.scenario.schema import Scenario

#: Fields named where two scenarios differ.
MAX_NAMED = 3


class Checkpoint(NamedTuple):
    """How a run is saved on its way."""

    every: int  #: steps
    file: Path  #: replaced each time
    options: tuple[str, ...]  #: by which a resumed run leaves what this one would

    @property
    def resume(self) -> str:
        """The command that goes on from the file."""
        command = ("marketsim", "run", "--resume", str(self.file), *self.options)
        return shlex.join((*command, "--checkpoint", str(self.every)))


def place_checkpoint(
    every: int | None, folder: Path, is_named: bool, force: bool, trust: bool
) -> Checkpoint | None:
    """Choose how a run is saved on its way: beside the folder it will leave.

    Parameters
    ----------
    every : int, optional
        Steps; None for not at all.
    folder : Path
    is_named : bool
        Whether the user named it.
    force : bool
        Replace the folder, and a market that somebody saved where the checkpoint goes.
    trust : bool
        Strategies outside the current folder are run unasked.

    Raises
    ------
    FolderError
        If the file cannot be written.
    BadInputError
        If what is there is no checkpoint of a run, and may not be replaced.
    """
    if every is None:
        return None
    options = [
        *(("--out", str(folder)) if is_named else ()),
        *(("--force",) if force and folder.exists() else ()),
        *(("--trust",) if trust else ()),
    ]
    return Checkpoint(every, _checkpoint_file(folder, force), tuple(options))


def _checkpoint_file(folder: Path, force: bool) -> Path:
    from marketsim.run.saved import is_checkpoint
    from marketsim.tape.files import FolderError, check_writable

    file = folder.with_name(f"{folder.name}.market")
    check_writable(file)
    if file.exists():
        cure = "--checkpoint would replace it: move it, or choose another --out"
        try:
            is_of_a_run = is_checkpoint(file)
        except FolderError as error:
            refuse(f"{error}; {cure}")
        if not (is_of_a_run or force):
            refuse(f"{file}: a market saved there, which is no checkpoint; {cure}, or add --force")
    return file


def remove_checkpoint(file: Path) -> None:
    """Remove the file of a run that has ended; it is not there if the run was a short one."""
    from marketsim.run.saved import is_checkpoint
    from marketsim.tape.files import FolderError

    with contextlib.suppress(FolderError):
        if is_checkpoint(file):
            file.unlink()


def run_and_save(
    simulation: "Simulation", checkpoint: Checkpoint, progress: "Progress | None"
) -> None:
    """Run to the end and save on the way, whenever so many steps are done.

    Parameters
    ----------
    simulation : Simulation
    checkpoint : Checkpoint
    progress : callable, optional

    Raises
    ------
    typer.Exit
        If it is interrupted after it was saved; the user is told how to go on.
    """
    first, stop = simulation.step_count, simulation.num_steps
    every, saved = checkpoint.every, 0
    try:
        while (done := simulation.step_count) < stop:

            def show(more: int, _: int, done: int = done) -> None:
                if progress is not None:
                    progress(done - first + more, stop - first)

            simulation.run(min(every - done % every, stop - done), progress=show)
            if simulation.step_count < stop:
                simulation.save(checkpoint.file, is_checkpoint=True)
                saved = simulation.step_count
    except KeyboardInterrupt:
        if not saved:
            raise
        say(f"interrupted; {checkpoint.resume} goes on after {saved} steps")
        raise typer.Exit(FAILURE) from None


def resume_run(
    file: Path, scenario: "Scenario | None", seed: int | None, trust: bool
) -> "Simulation":
    """Open a saved run.

    Parameters
    ----------
    file : Path
    scenario : Scenario, optional
        What it must be a run of.
    seed : int, optional
        What its seed must be.
    trust : bool
        Do not ask before strategies outside the current folder are run.

    Raises
    ------
    BadInputError
        If it is another run.
    SavedMarketError
        If it cannot be opened.
    """
    from marketsim.model.opening import reopen_simulation
    from marketsim.run.saved import open_saved

    with open_saved(file) as saved:
        stated, saved_seed = saved.scenario, saved.seed
    if stated.is_open:
        refuse(f'{file}: days = "open": it has no end; go on from Python, with load_market')
    if scenario is not None and (differences := _differences(stated, scenario)):
        more = len(differences) - MAX_NAMED
        tail = f" and {more} more" if more > 0 else ""
        refuse(f"{file}: of another scenario: {'; '.join(differences[:MAX_NAMED])}{tail}")
    if seed is not None and seed != saved_seed:
        refuse(f"{file}: its seed is {saved_seed}, not {seed}")
    confirm_strategies(stated, trust)
    return reopen_simulation(file)


def _differences(there: "Scenario", here: "Scenario") -> list[str]:
    """Name the fields in which two scenarios differ."""
    from marketsim.scenario.wording import show

    then, now = _fields(there.model_dump(mode="json")), _fields(here.model_dump(mode="json"))
    return [
        f"{path} is {show(then.get(path))} there, {show(now.get(path))} here"
        for path in then | now
        if then.get(path) != now.get(path)
    ]


def _fields(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """List the fields of nested tables by their dotted paths."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        path = f"{above}{name}"
        found |= _fields(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return found
