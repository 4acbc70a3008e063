"""Drags of inverted photographs: what tuning the generator costs and gives.

PTI (Roich et al. 2021) trades editability for likeness. Every photo is inverted once; the same
presets are then dragged with the generator as it was and with the tuned one.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, cast

from pipeline.edit import Watch, unwatched
from pipeline.errors import EvaluationError
from pipeline.evaluate.inverted import PhotoMeasure
from pipeline.evaluate.networks import generator_and_finder, identity_name, words_of
from pipeline.evaluate.pictures import find_photos
from pipeline.evaluate.report import (
    Evaluation,
    Row,
    Table,
    mean,
    not_skipped,
    numbers,
    tell_skipped,
)
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.evaluate.stages import STAGES, EngineTask
from pipeline.session import Json

DRAGS: Final = ("smile", "open-mouth", "raise-brows", "close-eyes")

ABOUT = """\
The largest face of each photo is inverted ({quality}), then presets are dragged with the
generator as it was and with the one that was tuned to the photo. Landmarks are found on the
rendering before and after the drag; the distance is that of the dragged ones from their targets, in
pixels of a crop of 512, "of no edit" its ratio to the way that was asked for. Identity is the
cosine of {identity} between the photo's crop and the edited rendering; "fixed change" the mean
change of the rendering where the preset's mask fixes it, in 8-bit levels, and "photo outside" the
largest change of the composed photo outside it, in the file's own levels.

{count} photos; generator {generator} ({side} px), landmarks by {finder}. {skipped}
"""


def evaluate_photos(
    setting: Setting,
    engines: Sequence[str],
    *,
    folder: Path,
    quality: str,
    presets: tuple[str, ...] = DRAGS,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure drags of the photos in a folder.

    Args:
        setting: of every evaluation.
        engines: names in `editing.engine.ENGINES`.
        folder: its files are read, its sub-folders are not.
        quality: of the inversions, a key of `inversion.invert.QUALITIES`.
        presets: what is dragged, keys of `editing.presets.PRESETS`.
        watch: sees the measurements go by.

    Raises:
        EvaluationError: the folder holds no photo with a face.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is no folder: give one with photos")
    begin = partial(PhotoMeasure.begin, setting, quality, presets)
    measure = begin()
    depends_on: Json = {
        **generator_and_finder(measure.models),
        "identity_network": measure.identity.name if measure.identity else None,
        "quality": quality,
        "presets": list(presets),
    }
    photos = find_photos(folder)
    tasks = {n: [EngineTask(picture=photo, engine=n) for photo in photos] for n in engines}
    # The engines of a photo follow each other: they share its inversion.
    in_order = [task for of_a_photo in zip(*tasks.values(), strict=True) for task in of_a_photo]
    records = Measurements(
        name="photos", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in in_order}, begin)
    used = {name: not_skipped([records[task.key] for task in of]) for name, of in tasks.items()}
    first = next(iter(used.values()))
    if not first:
        raise EvaluationError(f"no file in {folder} shows a face that can be edited")
    drags = [row for name, rows in used.items() for row in _drag_rows(name, rows, presets)]
    return Evaluation(
        name="photos",
        title="Drags of inverted photographs",
        about=ABOUT.format(
            quality=quality,
            identity=identity_name(measure.identity),
            count=len(first),
            skipped=tell_skipped(len(photos) - len(first)),
            **words_of(measure.models),
        ),
        command=setting.command,
        tables=(
            Table(caption="The inversions.", rows=_inversion_rows(first)),
            Table(caption="The drags.", rows=drags),
        ),
        facts={"photos": len(first), **depends_on},
    )


def _inversion_rows(rows: Sequence[Json]) -> list[Row]:
    return [
        {
            "stage": stage,
            "PSNR, dB": _mean_at(rows, "psnr", stage),
            "perceptual": _mean_at(rows, "perceptual", stage),
            "identity": _mean_at(rows, "identity", stage),
            "seconds": mean(rows, "seconds") if stage == STAGES[-1] else None,
        }
        for stage in STAGES
    ]


def _drag_rows(engine: str, rows: Sequence[Json], presets: Sequence[str]) -> list[Row]:
    laid: list[Row] = []
    for name in presets:
        for stage in STAGES:
            drags = [cast("dict[str, Json]", row["drags"])[f"{name}, {stage}"] for row in rows]
            left, asked = mean(drags, "distance"), mean(drags, "asked")
            outside = numbers(drags, "photo_outside")
            laid.append(
                {
                    "engine": engine,
                    "drag": name,
                    "generator": stage,
                    "mean distance": left,
                    "of no edit": left / asked if left is not None and asked else None,
                    "identity": mean(drags, "identity"),
                    "fixed change": mean(drags, "fixed_change"),
                    "photo outside": int(outside.max()) if len(outside) else None,
                    "steps": mean(drags, "steps"),
                    "seconds": mean(drags, "seconds"),
                    "faces lost": len(drags) - len(numbers(drags, "distance")),
                }
            )
    return laid


def _mean_at(rows: Sequence[Json], name: str, stage: str) -> float | None:
    return mean([cast("Json", row[name]) for row in rows], stage)
