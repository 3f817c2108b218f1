"""
Binary data inside Socket.IO packets: each piece leaves a placeholder and travels as a message of its own.

``{"_placeholder": true, "num": 0}`` stands for the first attachment. Only binary packets have placeholders.

Source: the Socket.IO protocol, version 5, *Packet encoding*.
"""

from typing import Any

from .sio_packet import MalformedMessage

_Bytes = bytes | bytearray | memoryview


def take_out(data: Any) -> tuple[Any, list[bytes]]:
    """The data with placeholders in place of all bytes in it, and the bytes."""
    found: list[bytes] = []
    replaced = _take_out(data, found)
    return (replaced, found) if found else (data, found)


def _take_out(value: Any, found: list[bytes]) -> Any:
    if isinstance(value, _Bytes):
        found.append(bytes(value))
        return {"_placeholder": True, "num": len(found) - 1}
    if isinstance(value, list | tuple):
        return [_take_out(item, found) for item in value]
    if isinstance(value, dict):
        return {key: _take_out(item, found) for key, item in value.items()}
    return value


def put_back(data: Any, attachments: list[bytes]) -> Any:
    """
    The data with its attachments in place of their placeholders.

    :raises MalformedMessage: if an attachment is not named exactly once, or a placeholder names none.
    """
    left = set(range(len(attachments)))
    try:
        restored = _put_back(data, attachments, left)
    except RecursionError:
        raise MalformedMessage("data is nested too deeply") from None
    if left:
        raise MalformedMessage("each attachment has one placeholder")
    return restored


def _put_back(value: Any, attachments: list[bytes], left: set[int]) -> Any:
    if isinstance(value, list):
        return [_put_back(item, attachments, left) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("_placeholder") is not True:
        return {key: _put_back(item, attachments, left) for key, item in value.items()}
    number = value.get("num")
    if type(number) is not int or number not in left:
        raise MalformedMessage("a placeholder has the number of an attachment")
    left.remove(number)
    return attachments[number]
