"""Errors of this package."""

from weights.errors import PhotodragError


class InversionError(PhotodragError):
    """Base of every error raised by `inversion`."""
