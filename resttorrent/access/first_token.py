"""
The token that a daemon makes at its first start: in a file beside its state, for its owner alone.

Only the file's path is ever logged. When the daemon dies between the file and the store, the next start makes
another.
"""

import os
from pathlib import Path

from ..store.store import Store
from .tokens import Tokens, new_secret

TOKEN_FILE = "token"
_MADE = "access.first_token"
NAME = "first"


async def make_first_token(tokens: Tokens, store: Store, state_dir: Path) -> Path | None:
    """
    Make it, unless this state has had one.

    :return: where it was written; ``None`` if nothing was to be done.
    :raises OSError: it can't be written.
    """
    if await store.setting(_MADE) is not None:
        return None
    secret = new_secret()
    path = write_token(state_dir, secret)
    await tokens.create(NAME, ("admin",), None, secret)
    await store.set_setting(_MADE, "1")
    return path


def write_token(state_dir: Path, secret: str) -> Path:
    """Write a token with mode 0600, in place of an older one, so that readers see one or the other, whole."""
    target = state_dir / TOKEN_FILE
    beside = target.with_name(TOKEN_FILE + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        # whatever the umask took away
        os.fchmod(file.fileno(), 0o600)
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)
    return target
