"""Peak memory of a stretch of work, where the system can tell."""

import re
from pathlib import Path
from typing import Final

_RESET: Final = Path("/proc/self/clear_refs")
_STATUS: Final = Path("/proc/self/status")


def reset_peak() -> None:
    """Begin to measure the peak anew; does nothing where the system cannot."""
    try:
        _RESET.write_text("5")
    except OSError:
        return


def peak_bytes() -> int | None:
    """Most memory resident since `reset_peak`, in bytes; None where the system cannot tell."""
    try:
        status = _STATUS.read_text("ascii", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
