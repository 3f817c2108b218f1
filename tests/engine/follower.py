"""A client that keeps a table up to date by deltas, and holds each of them to the rules."""

from collections.abc import Mapping, Sequence
from typing import Any

Rows = dict[str, dict[str, Any]]
"""Rows by info-hash, each with the fields that were asked for."""


class BrokenRule(AssertionError):
    """A delta that a client can't rely on."""


def table_of(rows: Sequence[Mapping[str, Any]]) -> Rows:
    """
    A list as the client keeps it.

    :raises BrokenRule: a row is there twice.
    """
    table = {row["infohash"]: dict(row) for row in rows}
    if len(table) != len(rows):
        raise BrokenRule("a row is there twice")
    return table


def follow(
    before: Rows,
    changed: Sequence[Mapping[str, Any]],
    removed: Sequence[str],
    fields: Sequence[str],
    *,
    filtered: bool,
    always: int = 1,
) -> Rows:
    """
    What the table becomes by a delta.

    A row that is new comes with all asked fields, and so does, in a filtered list, one whose state changed;
    any other with some of them. Nothing is named twice. A key that is unknown may be removed.

    :param always: how many members every row has, changed or not: the key, for one.
    :raises BrokenRule: the delta is not like that.
    """
    whole = {"infohash", *fields}
    keys = [row["infohash"] for row in changed] + list(removed)
    if len(set(keys)) != len(keys):
        raise BrokenRule(f"named twice: {keys}")
    after = {key: dict(row) for key, row in before.items() if key not in removed}
    for row in changed:
        key = row["infohash"]
        known = after.get(key)
        if not set(row) <= whole:
            raise BrokenRule(f"fields that were not asked for: {row}")
        if set(row) != whole:
            if known is None:
                raise BrokenRule(f"a new row that is not whole: {row}")
            if filtered and "state" in row and row["state"] != known["state"]:
                raise BrokenRule(f"its state has changed, but it is not whole: {row}")
            if len(row) <= always:
                raise BrokenRule(f"nothing changed: {row}")
        after[key] = {**(known or {}), **row}
    return after
