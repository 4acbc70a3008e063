"""The tables of an evaluation of inversions: means by quality, and each picture."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.report import Cell, Row, Table, mean, numbers
from pipeline.session import Json

Numbers: TypeAlias = NDArray[np.float64]


def cost_rows(measured: Mapping[str, Sequence[Json]]) -> list[Row]:
    """Likeness and cost: a row for each quality, from the records of its pictures."""
    slowest = max(mean(rows, "cpu_seconds") or 0.0 for rows in measured.values())
    return [
        {
            "quality": quality,
            "pictures": len(rows),
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


def edit_rows(measured: Mapping[str, Sequence[Json]], edits: Sequence[str]) -> list[Row]:
    """Editability: a row for each quality, from the records of its pictures."""
    laid: list[Row] = []
    for quality, rows in measured.items():
        shares = np.array([_shares(row, edits) for row in rows])
        after = [_mean(_column(row, edits, "identity")) for row in rows]
        laid.append(
            {
                "quality": quality,
                "all edits": _with_error(_means(shares)),
                **{name: _with_error(shares[:, k]) for k, name in enumerate(edits)},
                "identity after": _with_error(np.array(after)),
                "kept": mean(rows, "kept"),
                "forgetting": mean(rows, "forgetting"),
                "an edit, CPU seconds": _mean(
                    np.concatenate([_column(row, edits, "cpu_seconds") for row in rows])
                ),
                "faces lost": int(np.isnan(shares).sum()),
                "warned of": sum(bool(row["warned"]) for row in rows),
            }
        )
    return laid


def paired_rows(measured: Mapping[str, Sequence[Json]], edits: Sequence[str]) -> list[Row]:
    """What each quality's edits leave more of the way than the last one's, on the same pictures."""
    *others, yardstick = measured
    base = np.array([_shares(row, edits) for row in measured[yardstick]])
    alike = np.array([_mean(_column(row, edits, "identity")) for row in measured[yardstick]])
    laid: list[Row] = []
    for quality in others:
        apart = np.array([_shares(row, edits) for row in measured[quality]]) - base
        after = np.array([_mean(_column(row, edits, "identity")) for row in measured[quality]])
        middle, error, count = _moments(_means(apart))
        laid.append(
            {
                "quality": quality,
                "all edits": _with_error(_means(apart)),
                "t": middle / error if error > 0 else None,
                "pictures": count,
                **{name: _with_error(apart[:, k]) for k, name in enumerate(edits)},
                "identity after": _with_error(after - alike),
            }
        )
    return laid


def group_rows(
    rows: Mapping[str, Json], groups: Mapping[str, Collection[str]], edits: Sequence[str]
) -> list[Row]:
    """Likeness and editability of the pictures of each group.

    Args:
        rows: the records of one quality, by picture.
        groups: names of pictures, by group.
        edits: names of the edits.
    """
    laid: list[Row] = []
    for name, members in groups.items():
        among = [row for picture, row in rows.items() if picture in members]
        shares = np.array([_shares(row, edits) for row in among])
        laid.append(
            {
                "group": name,
                "pictures": len(among),
                "perceptual": mean(among, "perceptual"),
                "PSNR, dB": mean(among, "psnr"),
                "identity": mean(among, "identity"),
                "left of the way": _with_error(_means(shares)),
                "faces lost": int(np.isnan(shares).sum()),
            }
        )
    return laid


def _column(row: Json, edits: Sequence[str], name: str) -> Numbers:
    """A measure of each edit; NaN where it is not known."""
    done = cast("dict[str, dict[str, float | None]]", row["edits"])
    return np.array([done.get(edit, {}).get(name) for edit in edits], np.float64)


def _shares(row: Json, edits: Sequence[str]) -> Numbers:
    """What each edit left of the way."""
    return _column(row, edits, "left") / _column(row, edits, "asked")


def _mean(values: Numbers) -> float:
    """Mean of what is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _means(rows: Numbers) -> Numbers:
    return np.array([_mean(row) for row in rows])


def _moments(values: Numbers) -> tuple[float, float, int]:
    """Mean, its standard error, and the number of what is known."""
    known = values[~np.isnan(values)]
    error = float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return _mean(values), error, len(known)


def _with_error(values: Numbers) -> str:
    middle, error, count = _moments(values)
    if not count:
        return "not measured"
    return f"{middle:.3f}" if count == 1 else f"{middle:.3f} +- {error:.3f}"


def each_picture(found: Mapping[str, Mapping[str, Json]], qualities: Sequence[str]) -> list[Table]:
    """A table for each measure, a row for each picture, a column for each quality."""
    columns = {
        "perceptual": "Perceptual distance of each picture.",
        "psnr": "PSNR of each picture, dB.",
        "cpu_seconds": "CPU seconds of each picture.",
    }
    return [
        Table(
            caption=caption,
            rows=[
                {
                    "picture": name,
                    **{q: cast("Cell", by.get(q, {}).get(measure)) for q in qualities},
                }
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
