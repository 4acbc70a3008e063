"""Time and memory of the stages, on the demonstration's photo."""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.demo import PHOTO, REQUEST, astronaut
from pipeline.edit import Watch, compose, drag_face, invert_face
from pipeline.engines import choose_engine
from pipeline.models import Models
from pipeline.subject import cut, select

BENCHES = ("edit", "invert", "drag")
BENCHED_QUALITIES = ("fast", "balanced")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured stage.

    Attributes:
        quality: Of the inversion.
        stage: Its name, or "total" of those before it.
        seconds: Wall-clock time.
        peak_mb: Largest resident memory of the process so far, in megabytes; None
            where the system does not tell.
    """

    quality: str
    stage: str
    seconds: float
    peak_mb: float | None


def run_bench(what: str, models: Models, watch: Watch) -> list[Row]:
    """Take the stages one after the other, for each of the benched qualities.

    Args:
        what: One of `BENCHES`; "invert" stops before the drag, "drag" shows it alone.
        models: From `load_models`.
        watch: Sees the steps of the long stages go by.
    """
    rows: list[Row] = []
    for quality in BENCHED_QUALITIES if what != "drag" else BENCHED_QUALITIES[:1]:
        rows += _run_stages(what, quality, models, watch)
    return [row for row in rows if what == "edit" or row.stage == what]


def _run_stages(what: str, quality: str, models: Models, watch: Watch) -> list[Row]:
    rows: list[Row] = []
    start = last = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        rows.append(Row(quality=quality, stage=stage, seconds=now - last, peak_mb=peak_mb()))
        last = now

    with tempfile.TemporaryDirectory() as folder:
        photo = astronaut(Path(folder) / PHOTO)
    lap("photo")
    selection = select(photo, models)
    lap("faces")
    crop = cut(photo, selection)
    lap("align")
    inversion, _ = invert_face(crop, models, quality, 0, None, watch)
    lap("invert")
    if what != "invert":
        spec = REQUEST.to_spec(selection.face, crop.alignment)
        result, _ = drag_face(inversion, spec, choose_engine(), watch)
        lap("drag")
        compose(photo, crop, inversion, result, spec, None)
        lap("composite")
    total = time.perf_counter() - start
    return [*rows, Row(quality=quality, stage="total", seconds=total, peak_mb=peak_mb())]


def to_table(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns."""
    lines = [f"{'quality':10} {'stage':10} {'seconds':>8} {'peak MB':>8}"]
    for r in rows:
        peak = "unknown" if r.peak_mb is None else f"{r.peak_mb:.0f}"
        lines.append(f"{r.quality:10} {r.stage:10} {r.seconds:8.1f} {peak:>8}")
    return "\n".join(lines)


def peak_mb() -> float | None:
    """Largest resident memory of this process so far, in megabytes; None where none tells."""
    # Windows has no `resource`, and the command line imports this module.
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
