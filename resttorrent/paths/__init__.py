"""Payload paths: confined to the save roots, checked and deleted without following links."""

from .roots import Roots

__all__ = ["Roots"]
