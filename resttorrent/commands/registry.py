"""
One command, defined once, for every door.

A command is one coroutine function with annotated parameters and one decorator that names its route. Its name
is the function's name, its documentation the docstring, its schema the annotations (see ``parameters``).
Doors ask the registry; none of them knows a command by name. ``@command`` returns a value: importing a module
of commands changes nothing, and ``service.py`` says which are served.
"""

import difflib
import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..access.principals import PUBLIC, SCOPES, Principal
from ..errors import BadParameter, NotFound, ParameterConflict, UnknownParameter
from .parameters import Kind

_MAGNET_FIELD = re.compile(r"(?:xt|dn|tr|xl|ws|as|xs|kt|mt|so|dht|x\.pe)(?:\.[0-9]+)?", re.IGNORECASE)

Result = Any
"""An ``answers.Answer``, an ``answers.Tagged`` one, or ``answers.Subscribed``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a command, as its annotation declares it."""

    name: str
    kind: Kind[Any]
    default: object
    in_path: bool
    aliases: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Command:
    """
    A command and all that a door must know of it.

    :ivar method: HTTP method, ``None`` for a command that only makes sense on a connection that lives on.
    :ivar route: HTTP path with ``{variables}``, which are parameters too; ``None`` if ``method`` is.
    :ivar status: HTTP status of a success.
    :ivar location: where the thing lies that a success created, as a format string over the answer; or
        ``None``.
    :ivar scope: what the caller must be allowed to do: ``read``, ``control`` or ``admin``; ``public`` for
        what anyone may. ``start`` sees to it.
    :ivar aliases: former names.
    """

    name: str
    function: Callable[..., Awaitable[Result]]
    method: str | None
    route: str | None
    scope: str
    status: int
    location: str | None
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    _by_name: Mapping[str, Parameter] = field(init=False, repr=False)
    _required: Sequence[Parameter] = field(init=False, repr=False)
    _defaults: Mapping[str, object] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        derived = {
            "_by_name": {n: p for p in self.parameters for n in (p.name, *p.aliases)},
            "_required": [p for p in self.parameters if p.required],
            "_defaults": {p.name: p.default for p in self.parameters if not p.required},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def is_safe(self) -> bool:
        """Whether it changes nothing (RFC 9110 §9.2.1), and so may be broken off when nobody waits for it."""
        return self.method in ("GET", None)

    def bind(self, pairs: Iterable[tuple[str, object]]) -> dict[str, Any]:
        """
        Turn what a client sent into the function's arguments.

        :param pairs: names with raw values (text, JSON values, ``Upload``), repeated names repeated.
        :raises UnknownParameter: with the nearest name, :raises ParameterConflict: for two values of one
            parameter, :raises BadParameter: for a value that is missing or not as expected.
        """
        raw: dict[str, Any] = {}
        for number, (name, value) in enumerate(pairs):
            parameter = self._by_name.get(name)
            if parameter is None:
                raise self._unknown(name, raw)
            if parameter.kind.repeats:
                values = raw.setdefault(parameter.name, [])
                values.extend((number, one) for one in (value if isinstance(value, list) else (value,)))
            elif parameter.name in raw and not _agree(parameter, raw[parameter.name], value):
                raise ParameterConflict(
                    f"{parameter.name} was given more than once, with different values", field=parameter.name
                )
            else:
                raw[parameter.name] = value
        for parameter in self._required:
            if parameter.name not in raw:
                raise BadParameter(
                    f"{parameter.name} is missing: expected {parameter.kind.expected}", field=parameter.name
                )
        bound = dict(self._defaults)
        for name, value in raw.items():
            bound[name] = self._by_name[name].kind.read(name, value)
        return bound

    def start(
        self, principal: Principal, ctx: object, pairs: Iterable[tuple[str, object]]
    ) -> Awaitable[Result]:
        """
        Do it for somebody: the one way in for all doors.

        :param pairs: as ``bind`` takes them; not looked at before it is clear that the caller may.
        :raises TokenNeeded, NotAllowed: the caller may not.
        """
        principal.require(self.scope)
        return self.function(ctx, **self.bind(pairs))

    async def run(self, ctx: object, pairs: Iterable[tuple[str, object]]) -> Result:
        """Do it, whoever asks, with what was sent; raises what ``bind`` and the function raise."""
        return await self.function(ctx, **self.bind(pairs))

    def _unknown(self, name: str, given: Mapping[str, object]) -> UnknownParameter:
        shown = name if len(name) <= 64 else name[:64] + "…"
        if "magnet" in given and _MAGNET_FIELD.fullmatch(name):
            return UnknownParameter(
                f"{shown} looks like a piece of the magnet link that came apart at its '&': "
                "send it with --data-urlencode 'magnet=…'",
                field="magnet",
            )
        near = difflib.get_close_matches(name[:64], list(self._by_name), n=1)
        if near:
            hint = f"did you mean {near[0]}?"
        elif self._by_name:
            hint = f"{self.name} takes {', '.join(p.name for p in self.parameters)}"
        else:
            hint = f"{self.name} takes no parameters"
        return UnknownParameter(f"unknown parameter {shown!r}: {hint}", field=shown)


def _agree(parameter: Parameter, one: object, other: object) -> bool:
    """Whether two raw values mean the same: ``1`` in a query and ``true`` in a JSON body do."""
    return one == other or parameter.kind.read(parameter.name, one) == parameter.kind.read(
        parameter.name, other
    )


def command(
    method: str | None,
    route: str | None,
    *,
    scope: str,
    status: int = 200,
    location: str | None = None,
    aliases: tuple[str, ...] = (),
    parameter_aliases: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Callable[..., Awaitable[Result]]], Command]:
    """
    Make a coroutine function of ``(ctx, **parameters)`` a command; see ``Command`` for the arguments.

    :raises ValueError: for a scope that there is not.
    """
    if scope not in (PUBLIC, *SCOPES):
        raise ValueError(f"there is no scope {scope!r}")

    def decorate(function: Callable[..., Awaitable[Result]]) -> Command:
        hints = typing.get_type_hints(function, include_extras=True)
        in_path = set(re.findall(r"{(\w+)}", route or ""))
        signature = list(inspect.signature(function).parameters.values())[1:]
        parameters = tuple(
            Parameter(
                p.name,
                Kind.of(hints[p.name]),
                p.default,
                p.name in in_path,
                (parameter_aliases or {}).get(p.name, ()),
            )
            for p in signature
        )
        name = getattr(function, "__name__", "")
        return Command(name, function, method, route, scope, status, location, aliases, parameters)

    return decorate


class Registry:
    """The commands that one daemon serves."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands = tuple(commands)
        self._by_name = {name: c for c in self._commands for name in (c.name, *c.aliases)}

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands)

    def named(self, name: str) -> Command:
        """
        The command of this name or former name.

        :raises NotFound: with the nearest name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            near = difflib.get_close_matches(name[:64], list(self._by_name), n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise NotFound(f"unknown command{hint}", field="command") from None
