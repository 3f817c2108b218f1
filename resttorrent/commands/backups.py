"""The command that copies the daemon's state."""

from datetime import UTC, datetime

from .answers import Answer
from .context import Context
from .registry import command


class BackupAnswer(Answer, kw_only=True):
    """``path`` of the copy on the daemon's machine; ``bytes`` is its size."""

    path: str
    bytes: int


@command("POST", "/v1/backup", scope="admin")
async def backup(ctx: Context) -> BackupAnswer:
    """Copy the state database, while the daemon goes on, to a file below the state folder."""
    copy = await ctx.backups.make(datetime.now(UTC))
    return BackupAnswer(path=str(copy.path), bytes=copy.size)


COMMANDS = (backup,)
