"""
The kinds of parameter there are: how each is read from text or JSON, and what an error says was expected.

A command annotates with the names at the end (``Flag``, ``Text``, …). One parser serves all doors: a value is
text where it came in a query or a form, a JSON value otherwise, an ``Upload`` where it was a file, bytes
where it was binary in a Socket.IO message.
"""

import base64
import binascii
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from ..errors import BadParameter, CommandError

MAX_WORDS = 200
LONGEST_WORD = 64

T = TypeVar("T")

Numbered = tuple[int, object]
"""One raw value of a parameter that repeats, after its place among all that was sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """The bytes of a file that a client sent, and what it called it."""

    data: bytes
    filename: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[T]):
    """
    How one kind of parameter is read.

    :ivar expected: what a right value looks like, to end the sentence "expected …".
    :ivar parse: the raw value to the typed one; any ValueError means "not as expected", its text (if it has
        one) replacing ``expected``.
    :ivar schema: JSON Schema of the value.
    :ivar repeats: it may be given more than once; ``parse`` gets all its values as ``Numbered`` ones.
    """

    expected: str
    parse: Callable[[Any], T]
    schema: Mapping[str, object]
    repeats: bool = False

    @classmethod
    def of(cls, annotation: object) -> "Kind[Any]":
        """The Kind inside ``Annotated[X, Kind]`` or ``Annotated[X, Kind] | None``."""
        for candidate in (annotation, *typing.get_args(annotation)):
            for extra in getattr(candidate, "__metadata__", ()):
                if isinstance(extra, Kind):
                    return extra
        raise TypeError(f"{annotation!r} names no Kind")

    def read(self, name: str, raw: object) -> T:
        """
        The typed value of ``raw``.

        :raises BadParameter: which names the parameter and what was expected.
        """
        try:
            return self.parse(raw)
        except CommandError:
            raise
        except (ValueError, RecursionError) as error:
            detail = str(error) if type(error) is ValueError and str(error) else self.expected
            raise BadParameter(f"{name}: expected {detail}", field=name) from None


def parse_text(raw: object, *, longest: int = 4096) -> str:
    if not isinstance(raw, str):
        raise ValueError
    if len(raw) > longest:
        raise ValueError(f"at most {longest} characters")
    if "\0" in raw:
        raise ValueError("text without NUL")
    raw.encode()  # lone surrogates raise UnicodeEncodeError, a ValueError
    return raw


_FLAGS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


def parse_flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int) and raw in (0, 1):
        return bool(raw)
    if isinstance(raw, str) and raw.lower() in _FLAGS:
        return _FLAGS[raw.lower()]
    raise ValueError


def parse_integer(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    # int() would also take digits of other scripts, '1_0' and ' 1'
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,19}", raw):
        return int(raw)
    raise ValueError


def integer(lowest: int, highest: int) -> Kind[int]:
    """A whole number between two bounds, both included."""

    def parse(raw: object) -> int:
        number = parse_integer(raw)
        if not lowest <= number <= highest:
            raise ValueError
        return number

    schema = {"type": "integer", "minimum": lowest, "maximum": highest}
    return Kind(f"a whole number from {lowest} to {highest}", parse, schema)


def choice(*words: str) -> Kind[str]:
    """One of a few words."""

    def parse(raw: object) -> str:
        if not isinstance(raw, str) or raw not in words:
            raise ValueError
        return raw

    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    return Kind(listed, parse, {"type": "string", "enum": list(words)})


def parse_words(given: Sequence[Numbered]) -> tuple[str, ...]:
    """The words of ``a,b``, of ``["a", "b"]`` or of several of these, each once, order kept."""
    words = [word.strip() for _, text in given for word in parse_text(text).split(",")]
    if not 0 < len(words) <= MAX_WORDS or len(max(words, key=len)) > LONGEST_WORD:
        raise ValueError
    return tuple(dict.fromkeys(words))


def parse_port_range(raw: object) -> tuple[int, int]:
    """``"6881,6891"``, ``"6881"``, ``[6881, 6891]``, ``[6881]`` or ``6881`` as (first, last)."""
    if isinstance(raw, str):
        raw = raw.split(",")
    if isinstance(raw, int):
        raw = [raw]
    if not isinstance(raw, list) or not 1 <= len(raw) <= 2:
        raise ValueError
    first, last = parse_integer(raw[0]), parse_integer(raw[-1])
    if not 1 <= first <= last <= 65535:
        raise ValueError
    return first, last


def parse_file(raw: object) -> bytes:
    """An upload, bytes, or ``{"base64": "…"}``."""
    if isinstance(raw, Upload):
        return raw.data
    if isinstance(raw, bytes):
        return raw
    if isinstance(raw, dict) and raw.keys() == {"base64"} and isinstance(raw["base64"], str):
        try:
            return base64.b64decode(raw["base64"], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError('valid base64 in {"base64": …}') from None
    raise ValueError


Text = Annotated[str, Kind("text", parse_text, {"type": "string"})]
Flag = Annotated[bool, Kind("1, 0, true or false", parse_flag, {"type": "boolean"})]
Words = Annotated[
    tuple[str, ...],
    Kind(
        "names separated by commas",
        parse_words,
        {"type": "array", "items": {"type": "string"}},
        repeats=True,
    ),
]
PortRange = Annotated[
    tuple[int, int],
    Kind(
        "two ports 'first,last', or one, each from 1 to 65535",
        parse_port_range,
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
    ),
]
File = Annotated[
    bytes,
    Kind(
        'a file (multipart; binary over Socket.IO), or {"base64": "…"} in JSON',
        parse_file,
        {"type": "object", "properties": {"base64": {"type": "string"}}},
    ),
]
