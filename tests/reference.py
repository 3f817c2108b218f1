"""
The tables of docs/ that come from the code: ``python -m tests.reference`` writes them anew.

A table stands between two comments, ``.. table: <name>`` and ``.. end``. The tests compare it with what this
module makes of the registry, the fields and the options.
"""

import inspect
import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from resttorrent.commands.registry import Command, Parameter, Registry
from resttorrent.engine.fields import FIELDS
from resttorrent.options import OPTIONS, settings_from
from resttorrent.service import make_service

DOCS = Path(__file__).resolve().parent.parent / "docs"
_TABLE = re.compile(r"(?<=^\.\. table: )(.+?)\n\n(.*?)(?=^\.\. end$)", re.MULTILINE | re.DOTALL)


class _Reactor(Clock):
    """As much of a reactor as is asked for before anything is started."""

    nameResolver = None


def _registry() -> Registry:
    settings = settings_from(["--state-dir", ":memory:", "--root", "/"], {})
    return make_service(settings, _Reactor()).registry


REGISTRY = _registry()


# -- reading --------------------------------------------------------------


def section_of(text: str, title: str) -> str:
    """What stands below a title that is underlined with ``=``, up to the next such title."""
    pieces = re.split(r"^(.+)\n=+\n", text, flags=re.MULTILINE)
    return pieces[pieces.index(title) + 1]


def blocks_of(text: str, language: str) -> list[str]:
    """The code blocks in a language, their indentation removed."""
    found = re.findall(rf"^\.\. code-block:: {language}\n\n((?:(?: +.*)?\n)+)", text, re.MULTILINE)
    return [inspect.cleandoc(block) for block in found]


def tables_of(text: str) -> dict[str, str]:
    """The generated tables of a document by name."""
    return {match[1]: match[2] for match in _TABLE.finditer(text)}


# -- making ---------------------------------------------------------------


def table(name: str) -> str:
    """
    The table of this name.

    :raises KeyError: if there is none.
    """
    kind, _, what = name.partition(" ")
    if kind == "parameters":
        return _list_table(_parameters(REGISTRY.named(what)))
    return _list_table({"commands": _commands, "fields": _fields, "options": _options}[kind]())


def _list_table(rows: Iterable[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if number == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines) + "\n\n"


def _commands() -> Iterator[Sequence[str]]:
    yield "command", "route", "success", "what it does"
    for command in REGISTRY:
        names = ", ".join(f"``{name}``" for name in (command.name, *command.aliases))
        yield names, route_of(command), str(command.status), command.summary


def route_of(command: Command) -> str:
    """Method and path; a command without them is one of connections that live on."""
    return "Socket.IO only" if command.route is None else f"``{command.method} {command.route}``"


def _parameters(command: Command) -> Iterator[Sequence[str]]:
    yield "parameter", "value", "default"
    for parameter in command.parameters:
        names = ", ".join(f"``{name}``" for name in (parameter.name, *parameter.aliases))
        yield names, parameter.kind.expected, _default(parameter)


def _default(parameter: Parameter) -> str:
    default: Any = parameter.default
    if parameter.in_path:
        return "in the path"
    if parameter.required:
        return "required"
    if default is None or default == ():
        return ""
    if isinstance(default, tuple):
        return f"``{','.join(map(str, default))}``"
    return f"``{int(default) if isinstance(default, bool) else default}``"


def _fields() -> Iterator[Sequence[str]]:
    yield "field", "type", "unit", "meaning"
    for field in FIELDS:
        yield f"``{field.name}``", _type(field.type), field.unit, field.doc


def _type(annotation: Any) -> str:
    names = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}
    return " or ".join(names[part] for part in typing.get_args(annotation) or (annotation,))


def _literal(text: str) -> str:
    """Endpoints as literals, which docutils would take for links."""
    return re.sub(r"\b(?:tcp|unix):[^ ,]+", r"``\g<0>``", text)


def _options() -> Iterator[Sequence[str]]:
    yield "option", "variable", "what it says"
    for option in OPTIONS:
        yield f"``--{option.name}``", f"``{option.variable}``", _literal(option.documentation)


def main() -> None:
    """Write all tables anew."""
    for path in sorted(DOCS.glob("*.rst")):
        text = path.read_text()
        path.write_text(_TABLE.sub(lambda match: f"{match[1]}\n\n{table(match[1])}", text))


if __name__ == "__main__":
    main()
