"""Pages of the site as blocks of code, and how a test runs them in a folder of its own.

A comment right before a block says what differs from running it as it stands:

- ``<!-- file: NAME -->``: the block is the content of a file;
- ``<!-- shortened: ARGUMENTS -->``: every command of ours gets these at its end;
- ``<!-- shortened design: KEY = VALUE, ... -->``: the file a command names is read with these;
- ``<!-- exit code: 0 or 1, WHY -->``: what the commands may answer, if not 0;
- ``<!-- output -->``: what the block before printed begins so; ``...`` stands for anything;
- ``<!-- not run: REASON -->``.
"""

import doctest
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from marketsim.cli import app

DOCS = Path(__file__).parents[2] / "docs"
MARKS = ("file", "shortened", "shortened design", "exit code", "output", "not run")
_BLOCK = re.compile(
    r"(?P<marks>(?:^<!-- .*? -->\n)*)^```(?P<language>[\w{}-]+)\n(?P<text>.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code and what its comments say of it."""

    language: str
    text: str
    marks: dict[str, str]

    def commands(self) -> list[list[str]]:
        """Return the words of each line of a block of shell."""
        lines = [shlex.split(line, comments=True) for line in self.text.splitlines()]
        return [words for words in lines if words]


def read_blocks(text: str) -> list[Block]:
    """Return the blocks of code of a page, in order; directives left out."""
    found = []
    for match in _BLOCK.finditer(text):
        lines = re.findall(r"^<!-- (.*?) -->$", match["marks"], flags=re.MULTILINE)
        marks = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "{" not in match["language"]:
            found.append(Block(match["language"], match["text"], marks))
    return found


def run_page(text: str) -> None:
    """Run the blocks of a page one after the other in the current folder."""
    names: dict[str, Any] = {}
    printed = ""
    blocks = read_blocks(text)
    for block in blocks:  # a command may come before the file it names
        if "file" in block.marks:
            Path(block.marks["file"]).write_text(block.text, encoding="utf-8")
    for block in blocks:
        if "not run" in block.marks or "file" in block.marks:
            continue
        if "output" in block.marks:
            assert_begins(printed, block.text)
        elif block.language == "sh":
            printed = "\n".join(run_command(words, block.marks) for words in block.commands())
        elif block.language == "python":
            run_python(block.text, names)
        else:
            raise AssertionError(f"a block of {block.language} is no file, not run, and no output")


def run_command(words: list[str], marks: dict[str, str]) -> str:
    """Run a command of ours and return what it printed."""
    assert words[0] == "marketsim", f"{words}: only commands of ours are run"
    if "shortened design" in marks and Path(words[2]).is_file():
        _shorten(Path(words[2]), marks["shortened design"])
    given = [*words[1:], *shlex.split(marks.get("shortened", ""))]
    done = CliRunner().invoke(app, given)
    allowed = re.findall(r"\d+", marks.get("exit code", "0").split(",")[0])
    assert str(done.exit_code) in allowed, f"{shlex.join(words)}\n{done.output}"
    return done.stdout


def _shorten(file: Path, changes: str) -> None:
    """Replace values of a TOML file; a key that is not there is an error."""
    text = file.read_text(encoding="utf-8")
    for key, value in re.findall(r"([\w.]+) = (\[.*?\]|[^,]+)", changes):
        text, count = re.subn(
            rf'^("?{re.escape(key)}"?) = \S[^\n]*$', rf"\1 = {value}", text, flags=re.MULTILINE
        )
        assert count == 1, f"{file}: {key} is there {count} times"
    file.write_text(text, encoding="utf-8")


def run_python(text: str, names: dict[str, Any]) -> None:
    """Run a block of Python with the names of those before; one with prompts as a doctest."""
    if ">>>" not in text:
        exec(compile(text, "<page>", "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(text, names, "page", None, 0)
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=told.append, clear_globs=False)
    names.update(test.globs)
    assert not told, "".join(told)


def assert_begins(printed: str, expected: str) -> None:
    """Assert that the lines expected are the first that were printed, spaces aside."""
    found = [" ".join(line.split()) for line in printed.splitlines() if line.strip()]
    wanted = [" ".join(line.split()) for line in expected.splitlines() if line.strip()]
    assert len(found) >= len(wanted), printed
    for line, pattern in zip(found, wanted, strict=False):
        parts = ".*".join(map(re.escape, pattern.split("...")))
        assert re.fullmatch(parts, line), f"{line!r} is not {pattern!r}"
