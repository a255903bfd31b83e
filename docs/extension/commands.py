"""The reference of the command line, written from the commands themselves."""

import inspect
from typing import Any

import typer

from marketsim.cli import app
from marketsim.report.markdown import as_table, as_text


def describe_commands() -> str:
    """Describe every command, after a list: what it does, an example, arguments and options."""
    group: Any = typer.main.get_command(app)
    listed = [
        (f"[{name}](#{name})", as_text(inspect.cleandoc(command.help).partition("\n\n")[0]))
        for name, command in group.commands.items()
    ]
    described = [_command(name, command) for name, command in group.commands.items()]
    return "\n\n".join([as_table(("command", "what it does"), listed), *described])


def example_of(command: Any) -> str:
    """Return the example that a command's help ends with."""
    return str(command.epilog).removeprefix("Example: ").strip("`")


def _command(name: str, command: Any) -> str:
    parts = [f"## {name}", inspect.cleandoc(command.help), f"```sh\n{example_of(command)}\n```"]
    rows = [_parameter(each) for each in command.params]
    if rows:
        parts.append(as_table(("argument or option", "what it is"), rows))
    return "\n\n".join(parts)


def _parameter(parameter: Any) -> tuple[str, str]:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or parameter.name.upper()]
    elif parameter.metavar:
        names[-1] += f" {parameter.metavar}"
    told = parameter.help or ""
    shows = parameter.default not in (None, False, True, [], ()) and "[default:" not in told
    told += f" [default: {parameter.default}]" if shows else ""
    told += " (required)" if parameter.required else ""
    return ", ".join(f"`{name}`" for name in names), as_text(told)
