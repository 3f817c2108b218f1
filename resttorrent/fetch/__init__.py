"""Fetching of the ``url`` parameter, guarded so that it reaches nothing but the public internet."""

from .fetcher import DEADLINE, MAX_REDIRECTS, Fetcher

__all__ = ["DEADLINE", "MAX_REDIRECTS", "Fetcher"]
