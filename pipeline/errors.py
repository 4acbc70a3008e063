"""Errors of this package."""

from weights.errors import PhotodragError


class PipelineError(PhotodragError):
    """Base of every error raised by `pipeline`."""
