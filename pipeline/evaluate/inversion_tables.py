"""The tables of an evaluation of inversions: means by quality, and each picture."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from inversion.report import FAR, FORGETFUL, POOR
from pipeline.evaluate.report import Cell, Row, Table, mean, numbers
from pipeline.session import Json


def cost_rows(measured: Mapping[str, Sequence[Json]]) -> list[Row]:
    """Likeness and cost: a row for each quality, from the records of its pictures."""
    slowest = max(mean(rows, "cpu_seconds") or 0.0 for rows in measured.values())
    return [
        {
            "quality": quality,
            "PSNR, dB": mean(rows, "psnr"),
            "MSE": mean(rows, "mse"),
            "perceptual": mean(rows, "perceptual"),
            "identity": mean(rows, "identity"),
            "seconds": mean(rows, "seconds"),
            "CPU seconds": (spent := mean(rows, "cpu_seconds")),
            "share of the slowest": None if spent is None else spent / max(slowest, 1e-9),
            "peak, MB": _most(rows, "peak_mb"),
            "steps": _steps(rows),
        }
        for quality, rows in measured.items()
    ]


def edit_rows(measured: Mapping[str, Sequence[Json]]) -> list[Row]:
    """Editability: a row for each quality, from the records of its pictures."""
    laid: list[Row] = []
    for quality, rows in measured.items():
        asked, left = mean(rows, "asked"), mean(rows, "left")
        laid.append(
            {
                "quality": quality,
                "mean distance": left,
                "of no edit": left / asked if left is not None and asked else None,
                "identity after": mean(rows, "identity_after"),
                "kept": mean(rows, "kept"),
                "forgetting": mean(rows, "forgetting"),
                "edit, CPU seconds": mean(rows, "edit_cpu_seconds"),
                "faces lost": len(rows) - len(numbers(rows, "left")),
                "warned of": sum(_warned_of(row) for row in rows),
            }
        )
    return laid


def _warned_of(row: Json) -> bool:
    """Whether an inversion with these figures comes with a warning."""
    limits = {"perceptual": POOR, "distance": FAR, "forgetting": FORGETFUL}
    return any(cast("float", row[name]) > limit for name, limit in limits.items())


def each_picture(found: Mapping[str, Mapping[str, Json]]) -> list[Table]:
    """A table for each measure, a row for each picture, a column for each quality."""
    columns = {
        "perceptual": "Perceptual distance of each picture.",
        "psnr": "PSNR of each picture, dB.",
        "cpu_seconds": "CPU seconds of each picture.",
        "left": "Mean distance after the edit of each picture, px@512.",
    }
    return [
        Table(
            caption=caption,
            rows=[
                {"picture": name, **{q: cast("Cell", row.get(measure)) for q, row in by.items()}}
                for name, by in found.items()
            ],
        )
        for measure, caption in columns.items()
    ]


def _most(rows: Sequence[Json], name: str) -> float | None:
    column = numbers(rows, name)
    return float(column.max()) if len(column) else None


def _steps(rows: Sequence[Json]) -> str:
    """Mean numbers of steps of projection and tuning."""
    taken = np.array([cast("list[int]", row["steps"]) for row in rows], np.float64).mean(0)
    return " + ".join(f"{steps:.0f}" for steps in taken)
