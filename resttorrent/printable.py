"""Text by strangers, made fit to stand in one line of a log or a terminal."""

import unicodedata

# Control characters, formatting ones (bidi among them), lone surrogates, and what else may break a line.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def one_line(text: str) -> str:
    r"""Return the text with what ends a line, steers a terminal or turns the order of reading as ``\n``."""
    if text.isprintable():
        return text
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in _UNFIT else c for c in text)


def shortened(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of the text, and a mark where the rest was."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
