"""Parameters and answers of lists and deltas: which fields, which rows, in what order, since when."""

import difflib
import json
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from ..engine.fields import NAMES, STATES
from ..engine.views import Selection, hash_text
from ..errors import BadParameter
from .answers import Answer
from .parameters import Kind, Words, integer, parse_text, parse_words

MAX_REVISION = 2**53 - 1
Fields = Annotated[
    tuple[str, ...],
    Kind(
        "names of fields, separated by commas",
        parse_words,
        {"type": "array", "items": {"enum": list(NAMES)}},
        repeats=True,
    ),
]
States = Words


def parse_filter(raw: object) -> tuple[str, ...]:
    """The states in ``{"state": …}``, one word, several between commas or a list; or that as JSON text."""
    if isinstance(raw, str):
        raw = json.loads(parse_text(raw))
    if not isinstance(raw, dict) or raw.keys() != {"state"}:
        raise ValueError
    given: Any = raw["state"]
    states = parse_words([(0, one) for one in (given if isinstance(given, list) else [given])])
    if not states or not set(states) <= set(STATES):
        raise ValueError(f"states from {', '.join(STATES)}")
    return states


Filter = Annotated[
    tuple[str, ...],
    Kind(
        'an object {"state": …}, or its JSON text',
        parse_filter,
        {
            "type": "object",
            "properties": {"state": {"type": "array", "items": {"enum": list(STATES)}}},
            "required": ["state"],
            "additionalProperties": False,
        },
    ),
]
Revision = Annotated[int, integer(0, MAX_REVISION)]
Seconds = Annotated[int, integer(0, 60)]
Milliseconds = Annotated[int, integer(100, 60_000)]
Count = Annotated[int, integer(0, 1_000_000_000)]
SortKey = tuple[str, bool]


class TorrentList(Answer, kw_only=True):
    """All rows that match: ``total`` of them, before paging; as of revision ``rev``."""

    rev: int
    total: int
    torrents: msgspec.Raw


class TorrentDelta(Answer, kw_only=True):
    """What changed since the revision that was named, and which rows went."""

    rev: int
    changed: msgspec.Raw
    removed: msgspec.Raw


def selection(fields: Sequence[str] | None, states: Sequence[str] | None) -> Selection:
    """
    The view that these parameters ask for.

    :raises BadParameter: for a name that is none.
    """
    for word in states or ():
        if word not in STATES:
            raise BadParameter(f"state: expected {', '.join(STATES)}", field="state")
    for name in fields or ():
        _check_field(name, "fields")
    return Selection(tuple(fields) if fields else NAMES, frozenset(states) if states else None)


def sort_keys(sort: Sequence[str] | None) -> tuple[SortKey, ...]:
    """``-added_time,name`` as (field, descending) pairs."""
    keys = tuple((word.removeprefix("-"), word.startswith("-")) for word in sort or ())
    for name, _ in keys:
        _check_field(name, "sort")
    return keys


def _check_field(name: str, parameter: str) -> None:
    if name in NAMES:
        return
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise BadParameter(f"{parameter}: expected names of fields, not {name!r}{hint}", field=parameter)


def entity_tag(rev: int, wanted: Selection, sort: Sequence[SortKey], offset: int, limit: int | None) -> str:
    """``<rev>-<view>``, the view being fields, filter, sort and paging."""
    if not sort and not offset and limit is None:
        return f"{rev}-{wanted.name}"
    return f"{rev}-{wanted.name}{hash_text(repr((tuple(sort), offset, limit)))}"
