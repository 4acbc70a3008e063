"""Errors of this package."""

from weights.errors import PhotodragError


class EditingError(PhotodragError):
    """Base of every error raised by `editing`."""
