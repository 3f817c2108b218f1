"""
Names and values as query strings and HTML forms spell them (WHATWG URL §5): bytes in, pairs out.

Stricter than most parsers: a broken escape or bytes that are not UTF-8 are errors, never U+FFFD.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from ..errors import BadParameter, TooLarge

MOST_FIELDS = 10_000
LONGEST = 128 * 1024
"""Bytes: a form carries no files, and 32 MiB of escapes take ten seconds to decode."""
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def text_of(encoded: bytes) -> str:
    """
    The text behind percent-encoded UTF-8.

    :raises ValueError: for a broken escape, or bytes that are not UTF-8.
    """
    if b"%" in encoded:
        if _BROKEN_ESCAPE.search(encoded):
            raise ValueError("a '%' without two hex digits")
        encoded = unquote_to_bytes(encoded)
    return encoded.decode()


def parameter_text(name: str, encoded: bytes) -> str:
    """
    The text of the parameter ``name``.

    :raises BadParameter: naming it, where ``text_of`` finds fault.
    """
    try:
        return text_of(encoded)
    except ValueError:
        raise BadParameter(f"{shown(name)}: expected percent-encoded UTF-8", field=shown(name)) from None


def shown(name: str) -> str:
    """A parameter's name as an error repeats it: not longer than a line."""
    return name if len(name) <= 64 else name[:64] + "…"


def pairs_of(encoded: bytes) -> Iterator[tuple[str, str]]:
    """
    The pairs of a query string or an ``application/x-www-form-urlencoded`` body, in order.

    :raises BadParameter: for what is not percent-encoded UTF-8.
    :raises TooLarge: for more than ``MOST_FIELDS`` fields, or ``LONGEST`` bytes.
    """
    if not encoded:
        return
    if len(encoded) > LONGEST:
        raise TooLarge(f"form longer than {LONGEST} bytes: send files as multipart/form-data, or in JSON")
    if encoded.count(b"&") >= MOST_FIELDS:
        raise TooLarge(f"more than {MOST_FIELDS} form fields")
    for piece in encoded.replace(b"+", b" ").split(b"&"):
        if not piece:
            continue
        raw_name, _, raw_value = piece.partition(b"=")
        try:
            name = text_of(raw_name)
        except ValueError:
            raise BadParameter("a parameter's name is not percent-encoded UTF-8") from None
        yield name, parameter_text(name, raw_value)
