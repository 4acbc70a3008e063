"""Errors of this package.

PhotodragError
└── EditingError
    ├── SpecError     a drag's points, mask or JSON make no sense
    ├── PresetError   an unknown preset or region, a strength that is no number, bad landmarks
    └── OptionError   an engine's option does not fit the generator
"""

from weights.errors import PhotodragError


class EditingError(PhotodragError):
    """Base of every error raised by `editing`."""


class SpecError(EditingError):
    """A drag's points, mask or JSON make no sense."""


class PresetError(EditingError):
    """An unknown preset or region, a strength that is not a number, or unusable landmarks."""


class OptionError(EditingError):
    """An engine's option does not fit the generator that it is to edit."""
