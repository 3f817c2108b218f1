"""
``multipart/form-data`` (RFC 7578): bytes in, pairs out.

The whole body is at hand, so that the parser sees it in one piece and no part is copied twice. Parts are
counted before any is parsed: a million of them cost one scan.
"""

from collections.abc import Iterator

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from ..commands.parameters import Upload
from ..errors import BadParameter, TooLarge
from .urlencoded import shown

MOST_PARTS = 2_000
LONGEST_BOUNDARY = 70
"""Characters; RFC 2046 §5.1.1."""


def pairs_of(boundary: bytes, body: bytes) -> Iterator[tuple[str, str | Upload]]:
    """
    The pairs of a multipart body, in order: a part with a filename is an ``Upload``, any other is text.

    :raises BadParameter: for a body that is not well-formed, or text that is not UTF-8.
    :raises TooLarge: for more than ``MOST_PARTS`` parts, or for a part with outsized headers.
    """
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise BadParameter(f"multipart/form-data needs a boundary of 1 to {LONGEST_BOUNDARY} characters")
    # n parts have n + 1 delimiters, the first of which may lack its line break
    if body.count(b"\r\n--" + boundary) > MOST_PARTS + 1:
        raise TooLarge(f"more than {MOST_PARTS} multipart parts")
    try:
        with PushMultipartParser(boundary, len(body), max_segment_count=MOST_PARTS) as parser:
            yield from _parts(parser, body)
    except ParserLimitReached as error:
        raise TooLarge(f"multipart body: {error.args[0]}") from None
    except MultipartError as error:
        raise BadParameter(f"malformed multipart body: {error.args[0]}") from None


def _parts(parser: PushMultipartParser, body: bytes) -> Iterator[tuple[str, str | Upload]]:
    segment: MultipartSegment | None = None
    chunks: list[bytes] = []
    for event in parser.parse(body):
        if isinstance(event, MultipartSegment):
            segment, chunks = event, []
        elif event is not None:
            chunks.append(event)
        elif segment is not None:
            yield _pair(segment, chunks[0] if len(chunks) == 1 else b"".join(chunks))


def _pair(segment: MultipartSegment, data: bytes) -> tuple[str, str | Upload]:
    name = segment.name
    if not name:
        raise BadParameter("a part of the multipart body has no name")
    if segment.filename is not None:
        return name, Upload(data, segment.filename)
    # RFC 7578 forbids filename*, yet clients send it, alone, for names outside of ASCII
    if "filename*=" in segment.header("Content-Disposition", ""):
        return name, Upload(data)
    try:
        return name, data.decode()
    except UnicodeDecodeError:
        raise BadParameter(
            f"{shown(name)}: expected text in UTF-8 (a file's part needs a filename)", field=shown(name)
        ) from None
