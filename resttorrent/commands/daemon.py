"""Commands on the daemon itself."""

from typing import Any

import libtorrent as lt
from msgspec import Struct

from .. import __version__
from ..errors import Unhealthy
from .answers import Answer
from .context import Context
from .registry import command


class About(Answer, kw_only=True):
    """``uptime`` in seconds; ``loading`` counts torrents that libtorrent does not have yet."""

    name: str
    version: str
    libtorrent_version: str
    uptime: int
    loading: int


class HealthReason(Struct):
    code: str
    message: str


class HealthAnswer(Answer, kw_only=True):
    """``health`` is ``ok`` or ``degraded``; ``lag`` tells of the reactor's turns, in milliseconds."""

    health: str
    reasons: list[HealthReason]
    lag: dict[str, Any]


@command("GET", "/v1", scope="read")
async def get_about(ctx: Context) -> About:
    """Name the versions and the uptime."""
    return About(
        name="RestTorrent",
        version=__version__,
        libtorrent_version=lt.__version__,
        uptime=int(ctx.seconds() - ctx.started),
        loading=ctx.engine.loading,
    )


@command("GET", "/health", scope="read")
async def get_health(ctx: Context) -> HealthAnswer:
    """Say whether all is well, and if not, why."""
    reasons = [HealthReason(r.code, r.message) for r in ctx.health.reasons()]
    if not ctx.health.is_serving():
        raise Unhealthy(", ".join(r.message for r in reasons))
    return HealthAnswer(health="degraded" if reasons else "ok", reasons=reasons, lag=ctx.health.lag())


COMMANDS = (get_about, get_health)
