"""Errors of the project's root and of this package.

PhotodragError
└── WeightsError
    ├── MissingWeightsError   a file of parameters is not on this machine
    └── BrokenWeightsError    a file is there but is not what it should be
"""


class PhotodragError(Exception):
    """Something a user can cause and mend; its message is one line that says how."""


class WeightsError(PhotodragError):
    """A network's parameters cannot be had or cannot be used."""


class MissingWeightsError(WeightsError):
    """A file of parameters is not on this machine."""


class BrokenWeightsError(WeightsError):
    """A file of parameters is damaged, or belongs to something else."""
