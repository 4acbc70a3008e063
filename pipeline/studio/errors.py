"""What the page is told when something cannot be done: a code for the page, a line for people."""

from editing.errors import EditingError
from inversion.errors import InversionError
from pipeline.errors import (
    BrokenPhotoError,
    FaceError,
    NotAPhotoError,
    OutputError,
    PhotoTooLargeError,
    PipelineError,
    RequestError,
    SessionError,
)
from weights.errors import PhotodragError


class StudioError(PipelineError):
    """Something that the page asked for cannot be done.

    Attributes:
        code: One word for the page.
        status: The same as an HTTP status.
    """

    code = "request"
    status = 400


class MessageError(StudioError):
    """The page sent what is no message, or no picture."""

    code = "bad-request"


class UnknownError(StudioError):
    """There is no such photo, face, edit, mask, job or download."""

    code = "unknown"
    status = 404


class BusyError(StudioError):
    """Not while a run goes on."""

    code = "busy"
    status = 409


class NoInversionError(StudioError):
    """A run needs an inversion."""

    code = "no-inversion"
    status = 409


class NoFaceError(StudioError):
    """A picture in which a face is needed has none."""

    code = "no-face"
    status = 422


class UploadTooLargeError(StudioError):
    """More bytes than an upload may have."""

    code = "too-large"
    status = 413


_CODES: tuple[tuple[type[PhotodragError], str, int], ...] = (
    (NotAPhotoError, "not-a-photo", 415),
    (BrokenPhotoError, "broken-photo", 422),
    (PhotoTooLargeError, "too-large", 413),
    (FaceError, "no-face", 422),
    (RequestError, "request", 400),
    (EditingError, "request", 400),
    (InversionError, "request", 400),
    (OutputError, "disk", 507),
    (SessionError, "disk", 507),
)

INTERNAL = "something went wrong inside photodrag; the terminal in which it runs shows what"
OUT_OF_MEMORY = "out of memory: close other programs, choose the quality fast, or a smaller photo"


def describe(error: BaseException) -> tuple[str, int, str]:
    """Code, HTTP status and line of an error; what is no error of ours stays in the terminal."""
    if isinstance(error, StudioError):
        return error.code, error.status, str(error)
    for kind, code, status in _CODES:
        if isinstance(error, kind):
            return code, status, str(error)
    if isinstance(error, PhotodragError):
        return "request", 400, str(error)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "memory", 507, OUT_OF_MEMORY
    if isinstance(error, OSError):
        return "disk", 507, f"a file cannot be read or written ({error.strerror}): check the disk"
    return "internal", 500, INTERNAL
