"""
What a request's body says: its headers and bytes in, pairs of names and raw values out.

A raw value is text (forms), a JSON value, or an ``Upload``. Iterators yield what they have read before they
raise, so that a ``t_id`` which came before the fault is known.
"""

from collections.abc import Iterator

import msgspec
from multipart import parse_options_header  # type: ignore[import-untyped]

from ..errors import BadParameter, TooLarge, UnsupportedMediaType
from . import multipart_form, urlencoded

MOST_JSON_VALUES = 500_000
"""Upper bound of a JSON body's values: an empty list is 2 bytes sent, but 64 bytes held."""


def pairs_of(
    content_type: bytes | None, content_encoding: bytes | None, body: bytes
) -> Iterator[tuple[str, object]]:
    """
    The pairs that a body holds, in order.

    :param content_type, content_encoding: the headers' values, or ``None``.
    :param body: not empty.
    :raises BadParameter: for what is malformed, :raises TooLarge: for too many fields, parts or values,
        :raises UnsupportedMediaType: for other types and for any content coding.
    """
    if content_encoding is not None and content_encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType("send the body without a Content-Encoding")
    media_type, options = parse_options_header((content_type or b"").decode("latin-1"))
    if media_type == "multipart/form-data":
        return multipart_form.pairs_of(options.get("boundary", "").encode("latin-1"), body)
    if media_type == "application/x-www-form-urlencoded":
        # curl's -d calls everything a form
        if body.lstrip()[:1] == b"{":
            return _json_pairs(body)
        return urlencoded.pairs_of(body)
    if media_type in ("application/json", ""):
        return _json_pairs(body)
    raise UnsupportedMediaType(
        "expected application/json, application/x-www-form-urlencoded or multipart/form-data"
    )


def _json_pairs(body: bytes) -> Iterator[tuple[str, object]]:
    # commas and brackets inside of strings count too: the bound leaves room for them
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_JSON_VALUES:
        raise TooLarge(f"more than {MOST_JSON_VALUES} values in the JSON body")
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise BadParameter("the JSON body is nested too deeply") from None
    except UnicodeDecodeError:
        raise BadParameter("the JSON body is not UTF-8") from None
    except msgspec.DecodeError as error:
        raise BadParameter(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadParameter("expected a JSON object as the body")
    return iter(value.items())
