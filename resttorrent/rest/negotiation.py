"""Headers that choose among answers: Accept-Encoding and If-None-Match (RFC 9110 §12.5.3, §13.1.2)."""

import re

_WEIGHT = re.compile(rb"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_ENTITY_TAG = re.compile(rb'[ \t,]*(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,|\Z)')


def accepts_gzip(accept_encoding: bytes) -> bool:
    """
    Whether the client asked for gzip, and likes it no less than the plain answer.

    An element that is malformed counts as refused.
    """
    weights: dict[bytes, float] = {}
    for element in accept_encoding.lower().split(b","):
        coding, *parameters = (part.strip() for part in element.split(b";"))
        weights.setdefault(coding, _weight(parameters))
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


def _weight(parameters: list[bytes]) -> float:
    if not parameters:
        return 1.0
    weight = _WEIGHT.fullmatch(parameters[0])
    return float(weight[1]) if weight and len(parameters) == 1 else 0.0


def matches_tag(if_none_match: bytes, opaque: bytes) -> bool:
    """
    Whether the client already has what the tag ``opaque`` (without quotes) stands for, by weak comparison.

    A list is read up to its first fault.
    """
    if if_none_match.strip() == b"*":
        return True
    tag = _ENTITY_TAG.match(if_none_match)
    while tag:
        if tag[1] == opaque:
            return True
        tag = _ENTITY_TAG.match(if_none_match, tag.end())
    return False
