"""
The frame that nearly all of what comes is: one short ASCII text, whole, and nothing behind it.

Source: RFC 6455 §5.2, §5.3.
"""

_FINAL_TEXT = 0x81
_MASKED = 0x80
_LONGER = 126


def short_text(data: bytes) -> bytes | None:
    """
    The text in ``data``, if that is exactly one final, masked text frame of ASCII.

    :return: ``None`` for anything else, right or wrong: that is for the whole protocol to find out.
    """
    if len(data) < 6 or data[0] != _FINAL_TEXT:
        return None
    size, begin = data[1] - _MASKED, 6
    if size == _LONGER:
        size, begin = int.from_bytes(data[2:4], "big"), 8
        # a length must be written as short as can be
        if size < _LONGER:
            return None
    elif not 0 <= size < _LONGER:
        return None
    if len(data) != begin + size:
        return None
    key = data[begin - 4 : begin] * (size // 4 + 1)
    text = int.from_bytes(data[begin:], "big") ^ int.from_bytes(key[:size], "big")
    unmasked = text.to_bytes(size, "big")
    return unmasked if unmasked.isascii() else None
