"""The shapes that all answers share; each command's own stand beside it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from ..engine.feeds import Feed

A = TypeVar("A", bound="Answer", covariant=True)


class Answer(Struct, kw_only=True):
    """A success; subclasses add what was asked for. Rows come ready as ``msgspec.Raw``."""

    status: str = "success"


class Failure(Struct, omit_defaults=True, kw_only=True):
    """What every door says of a ``CommandError``."""

    status: str
    message: str
    code: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Tagged(Generic[A]):
    """
    An answer with the entity tag of what it shows.

    :ivar etag: what stands between the quotes of a weak ETag (RFC 9110 §8.8.3): ``<rev>-<view>``.
    """

    answer: A
    etag: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """
    What a browser is to keep for this site.

    :ivar value: ``None`` to forget it; :ivar hidden: scripts of a page don't see it.
    """

    name: str
    value: str | None
    hidden: bool


@dataclass(frozen=True, slots=True)
class WithCookies(Generic[A]):
    """An answer with cookies, where a browser asks."""

    answer: A
    cookies: tuple[Cookie, ...]


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription: a door shows its feed's opening, then what it takes from it, until it stops it."""

    feed: Feed
