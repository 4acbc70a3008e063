"""Errors of this package.

InversionError
├── NotFiniteError          the crop, or the optimisation, holds NaN or infinity
├── BrokenInversionError    a stored inversion cannot be read
└── WrongBaseError          a stored inversion was made with another generator
"""

from weights.errors import PhotodragError


class InversionError(PhotodragError):
    """Base of every error raised by `inversion`."""


class NotFiniteError(InversionError):
    """The crop, or the optimisation, holds NaN or infinity."""


class BrokenInversionError(InversionError):
    """A stored inversion cannot be read."""


class WrongBaseError(InversionError):
    """A stored inversion was made with another generator."""
