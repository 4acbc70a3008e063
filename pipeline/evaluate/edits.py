"""The twelve standard edits of inverted faces: can the generator be dragged?

Every picture is inverted once; the edits are then dragged with the generator as it was, on the
latents of encoder and projection, and with the one that was tuned to the picture.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final, cast

from inversion.invert import QUALITIES
from pipeline.edit import Watch, unwatched
from pipeline.errors import EvaluationError
from pipeline.evaluate.edited import AROUND, LOOKS, EditsMeasure
from pipeline.evaluate.networks import generator_and_finder, identity_name, words_of
from pipeline.evaluate.pictures import PictureSet, spread
from pipeline.evaluate.report import (
    Cell,
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
from pipeline.evaluate.standard import EDITS
from pipeline.session import Json

REACH: Final = 0.8
LEAK: Final = 0.15
SHARPNESS: Final = 0.9

ABOUT = """\
Every picture is inverted ({quality}), then twelve small drags are made on the rendering, with the
generator as it was ("{before}": the latents of encoder and projection) and with the one that was
tuned to the picture. A drag has its landmarks as handles and the dragged part alone as its movable
mask; whole heads have none. An anchor holds the middle of the upper lip where the mouth opens or
its corners are dragged; there are no others, and no preset's directions.

"Tracked" is how far the handles came along the asked way, as a share of it, as the engine tracks
them. The others are read from the renderings before and after: by the landmarks that are found on
each, and by matching the two, which carries the landmarks of the first to the second. "Leak" is the
mean movement of all inner landmarks (brows, eyes, nose, mouth) that were not dragged, as a share of
the way asked for; "other parts" that of the inner landmarks outside the dragged part, whose
neighbours move with it in any face. Of whole heads it is what remains of the movement of all inner
landmarks after the best affine map: a change of expression. The last table is of no drag: it is
read from the rendering itself, warped so that the dragged landmarks go all of the way, their
neighbours follow and all others stay. How far its figures are from 1, and from 0, is what a ruler
does not see of small movements, and sees beside them.

"Sharpness" is the mean squared gradient of the luminance within {around} eyes apart of the straight
ways from handles to targets, after over before: two faint copies of a part, as a cross-fade shows,
have half. Identity is the cosine of {identity} between the picture and the edited rendering,
"unedited" between the picture and the rendering. Asked is the mean length of the way in pixels of a
crop of 512. The aims are a reach of at least {reach}, a leak below {leak} and a sharpness of at
least {sharpness}. The folder "{looks}" has a sheet of each picture and engine: edits before tuning,
and below them the same after tuning.

{count} pictures; generator {generator} ({side} px), landmarks by {finder}. {skipped}
"""


def evaluate_edits(
    setting: Setting,
    chosen: PictureSet,
    *,
    quality: str,
    engines: Mapping[str, int | None],
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure the standard edits on a set of pictures.

    Args:
        setting: of every evaluation.
        chosen: what is inverted.
        quality: of the inversions, a key of `inversion.invert.QUALITIES`.
        engines: names in `editing.engine.ENGINES` -> at most so many pictures, None for all.
        watch: sees the measurements go by.

    Raises:
        EvaluationError: the folder holds no picture with a face.
    """
    pictures = chosen.find()
    begin = partial(EditsMeasure.begin, setting, quality)
    measure = begin()
    depends_on = _settings(measure, quality)
    tasks = {
        name: [EngineTask(picture=picture, engine=name) for picture in spread(pictures, limit)]
        for name, limit in engines.items()
    }
    # The engines of a picture follow each other: they share its inversion.
    in_order = sorted((task for of in tasks.values() for task in of), key=lambda t: t.picture.name)
    records = Measurements(
        name=f"edits-{chosen.name}", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in in_order}, begin)
    used = {name: not_skipped([records[task.key] for task in of]) for name, of in tasks.items()}
    count = max(len(rows) for rows in used.values())
    if not count:
        raise EvaluationError(f"no file in {chosen.folder} shows a face that can be edited")
    return Evaluation(
        name=f"edits-{chosen.name}",
        title=f"Standard edits: {chosen.name}",
        about=_about(measure, quality, count, len(pictures) - count),
        command=setting.command,
        tables=_tables(used),
        facts={"pictures": {name: len(rows) for name, rows in used.items()}, **depends_on},
    )


def _settings(measure: EditsMeasure, quality: str) -> Json:
    """What the measurements depend on."""
    return {
        **generator_and_finder(measure.models),
        "identity_network": measure.identity.name if measure.identity else None,
        "quality": quality,
        "options": asdict(QUALITIES[quality]),
        "edits": hashlib.sha256(repr(EDITS).encode()).hexdigest()[:12],
    }


def _about(measure: EditsMeasure, quality: str, count: int, skipped: int) -> str:
    return ABOUT.format(
        quality=quality,
        before=STAGES[0],
        around=AROUND,
        identity=identity_name(measure.identity),
        reach=REACH,
        leak=LEAK,
        sharpness=SHARPNESS,
        looks=LOOKS,
        count=count,
        skipped=tell_skipped(skipped),
        **words_of(measure.models),
    )


def _tables(used: Mapping[str, Sequence[Json]]) -> list[Table]:
    """The summary, then the edits of each engine at each stage, from the engines' records."""
    stages = [(engine, stage, rows) for engine, rows in used.items() for stage in STAGES if rows]
    summary = Table(
        caption="Means over the twelve edits, and how many of them meet the aims in the mean of "
        "their pictures.",
        rows=[_summary(*stage) for stage in stages],
    )
    edits = [
        Table(caption=f"The edits, engine {engine}, {stage}.", rows=_edit_rows(stage, rows))
        for engine, stage, rows in stages
    ]
    _, stage, rows = stages[0]
    exact = [{"edit": name, **_rulers(_edits(stage, name, rows), "warp_")} for name in EDITS]
    return [summary, *edits, Table(caption=f"Exact warps, {stage}.", rows=exact)]


def _edit_rows(stage: str, rows: Sequence[Json]) -> list[dict[str, Cell]]:
    """A row for each edit: means over the pictures."""
    return [{"edit": name, **_means(_edits(stage, name, rows))} for name in EDITS]


def _summary(engine: str, stage: str, rows: Sequence[Json]) -> Row:
    """Means over the edits, and the number of edits whose means meet the aims."""
    edits = _edit_rows(stage, rows)
    measured = [name for name in edits[0] if name != "edit"]
    means = {name: mean(edits, name) for name in measured if name != "faces lost"}
    return {
        "engine": engine,
        "generator": stage,
        "pictures": len(rows),
        **means,
        "unedited": mean([cast("Json", row[stage]) for row in rows], "unedited"),
        "aims met": ", ".join(
            f"{name} {sum(bool(aim) for aim in met)} of {len(met)}"
            for name, met in _aims(edits).items()
        ),
        "faces lost": sum(int(cast("int", edit["faces lost"])) for edit in edits),
    }


def _aims(edits: Sequence[Row]) -> dict[str, list[bool]]:
    return {
        **{
            name: [bool(share >= REACH) for share in numbers(edits, name)]
            for name in ("tracked", "by landmarks", "by matching")
        },
        **{
            name: [bool(share < LEAK) for share in numbers(edits, name)]
            for name in ("leak", "other parts", "leak matched", "other parts matched")
        },
        "sharpness": [bool(ratio >= SHARPNESS) for ratio in numbers(edits, "sharpness")],
    }


def _edits(stage: str, name: str, rows: Sequence[Json]) -> list[Json]:
    """The records of one edit at one stage."""
    stages = [cast("dict[str, dict[str, Json]]", row[stage]) for row in rows]
    return [of["edits"][name] for of in stages]


def _means(edits: Sequence[Json]) -> dict[str, Cell]:
    return {
        "asked": mean(edits, "asked"),
        "tracked": mean(edits, "tracked"),
        **_rulers(edits),
        "sharpness": mean(edits, "sharpness"),
        "identity": mean(edits, "identity"),
        "steps": mean(edits, "steps"),
        "CPU seconds": mean(edits, "cpu_seconds"),
        "faces lost": len(edits) - len(numbers(edits, "found_reach")),
    }


def _rulers(edits: Sequence[Json], of: str = "") -> dict[str, Cell]:
    """What face finder and matching read, of the drags or of what is named."""
    return {
        "by landmarks": mean(edits, f"{of}found_reach"),
        "leak": mean(edits, f"{of}found_leak"),
        "other parts": mean(edits, f"{of}found_other_parts"),
        "by matching": mean(edits, f"{of}matched_reach"),
        "leak matched": mean(edits, f"{of}matched_leak"),
        "other parts matched": mean(edits, f"{of}matched_other_parts"),
    }
