"""Errors of the project's root and of this package.

PhotodragError
└── WeightsError
    ├── MissingWeightsError   a file of parameters is not on this machine
    ├── FetchError            a file could not be fetched, and nothing was put in its place
    ├── BrokenWeightsError    a file is there but is not what it should be
    ├── UnsafeWeightsError    a file asks for code to be run
    └── UnsupportedWeightsError   a file holds a network of a kind that is not read
"""


class PhotodragError(Exception):
    """Something a user can cause and mend; its message is one line that says how."""


class WeightsError(PhotodragError):
    """A network's parameters cannot be had or cannot be used."""


class MissingWeightsError(WeightsError):
    """A file of parameters is not on this machine."""


class FetchError(WeightsError):
    """A file could not be fetched whole and true; nothing was put in its place."""


class BrokenWeightsError(WeightsError):
    """A file of parameters is damaged, or belongs to something else."""


class UnsafeWeightsError(WeightsError):
    """A file names something that only running code could give; nothing of it was run."""


class UnsupportedWeightsError(WeightsError):
    """A file is whole, but holds a network of a kind that this program does not have."""
