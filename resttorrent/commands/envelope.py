"""What every door puts around an answer: its bytes, the error's shape, the client's ``t_id``."""

import msgspec

from ..errors import CommandError
from .answers import Answer, Failure

TransactionId = str | int | float | None
"""What a client chose as ``t_id``."""


def transaction_id(value: object) -> TransactionId:
    """What is echoed of a raw ``t_id``: a string or a number; anything else means nothing."""
    return value if type(value) in (str, int, float) else None  # type: ignore[return-value]


def failure_of(error: CommandError) -> Failure:
    """What a client is told of an error."""
    return Failure(
        status="fail",
        message=_encodable(error.message),
        code=error.code,
        field=None if error.field is None else _encodable(error.field),
    )


def encoded(answer: Answer | Failure, t_id: TransactionId = None) -> bytes:
    """An answer's JSON object."""
    return with_id(msgspec.json.encode(answer), t_id)


def with_id(body: bytes, t_id: TransactionId) -> bytes:
    """A JSON object with ``t_id`` as its last member; every answer has a status before it."""
    return body if t_id is None else b'%b,"t_id":%b}' % (body[:-1], msgspec.json.encode(t_id))


def _encodable(text: str) -> str:
    """``text`` with any lone surrogate replaced: the names of peers and files are quoted in messages."""
    return text.encode("utf-8", "replace").decode()
