"""Errors of this package.

PipelineError
├── PhotoError               a photo's file cannot be used
│   ├── PhotoNotFoundError   there is no such file, or it is not a file at all
│   ├── NotAPhotoError       the file is no picture, or of a kind that is not read
│   ├── BrokenPhotoError     the file is cut short or damaged
│   └── PhotoTooLargeError   more pixels than the limit
├── OutputError              a result cannot be written where it was asked for
├── AlignmentError           landmarks that describe no face, or one outside the photo
├── FaceError                no face to edit: none found, too small, or no such number
├── RequestError             an edit that cannot be understood or does not fit the photo
├── EvaluationError          measurements that do not fit together, or an evaluation cut short
└── SessionError             a folder that is no session, or one of something else
"""

from weights.errors import PhotodragError


class PipelineError(PhotodragError):
    """Base of every error raised by `pipeline`."""


class PhotoError(PipelineError):
    """A photo's file cannot be used."""


class PhotoNotFoundError(PhotoError):
    """There is no file of that name, or it cannot be read as one."""


class NotAPhotoError(PhotoError):
    """The file is no picture, or a picture of a kind that is not read."""


class BrokenPhotoError(PhotoError):
    """The picture's file is cut short or damaged."""


class PhotoTooLargeError(PhotoError):
    """The picture has more pixels than the limit; raised before it is decoded."""


class OutputError(PipelineError):
    """A result cannot be written where it was asked for."""


class AlignmentError(PipelineError):
    """The landmarks describe no face, or a face that lies outside the photo."""


class FaceError(PipelineError):
    """There is no face to edit: none was found, it is too small, or has no such number."""


class RequestError(PipelineError):
    """An edit that cannot be understood or does not fit the photo."""


class SessionError(PipelineError):
    """A folder is no session, or a session of something else."""


class EvaluationError(PipelineError):
    """Measurements do not fit together, or an evaluation was cut short."""
