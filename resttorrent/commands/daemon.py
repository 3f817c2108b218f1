"""Commands on the daemon itself."""

from typing import Any

import libtorrent as lt
from msgspec import UNSET, Struct, UnsetType

from .. import __version__
from ..errors import Unhealthy
from .answers import Answer
from .context import Context
from .registry import command


class About(Answer, kw_only=True):
    """
    ``uptime`` in seconds; ``loading`` counts torrents that libtorrent does not have yet.

    A stranger is told the name and the version alone.
    """

    name: str
    version: str
    libtorrent_version: str | UnsetType = UNSET
    uptime: int | UnsetType = UNSET
    loading: int | UnsetType = UNSET


class HealthReason(Struct):
    """The ``message`` may have paths in it: it is for those who may read."""

    code: str
    message: str | UnsetType = UNSET


class HealthAnswer(Answer, kw_only=True):
    """
    ``health`` is ``ok`` or ``degraded``; ``lag`` tells of the reactor's turns, in milliseconds, and
    ``refusals`` counts who was turned away by each door, and why: both those who may read.
    """

    health: str
    reasons: list[HealthReason]
    lag: dict[str, Any] | UnsetType = UNSET
    refusals: dict[str, dict[str, int]] | UnsetType = UNSET


@command("GET", "/v1", scope="public")
async def get_about(ctx: Context) -> About:
    """Name the versions and the uptime."""
    if "read" not in ctx.principal.scopes:
        return About(name="RestTorrent", version=__version__)
    return About(
        name="RestTorrent",
        version=__version__,
        libtorrent_version=lt.__version__,
        uptime=int(ctx.seconds() - ctx.started),
        loading=ctx.engine.loading,
    )


@command("GET", "/health", scope="public")
async def get_health(ctx: Context) -> HealthAnswer:
    """Say whether all is well, and if not, why."""
    found = ctx.health.reasons()
    may_read = "read" in ctx.principal.scopes
    if not ctx.health.is_serving():
        raise Unhealthy(", ".join(r.message if may_read else r.code for r in found))
    health = "degraded" if found else "ok"
    if not may_read:
        return HealthAnswer(health=health, reasons=[HealthReason(r.code) for r in found])
    reasons = [HealthReason(r.code, r.message) for r in found]
    return HealthAnswer(health=health, reasons=reasons, lag=ctx.health.lag(), refusals=ctx.health.refusals())


COMMANDS = (get_about, get_health)
