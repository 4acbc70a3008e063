"""The twelve standard edits of inverted faces: can the generator be dragged?

Every picture is inverted once; the edits are then dragged with the generator as it was, on the
latents of encoder and projection, and with the one that was tuned to the picture.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, cast

from inversion.invert import QUALITIES
from pipeline.edit import Watch, unwatched
from pipeline.errors import EvaluationError
from pipeline.evaluate.edited import AROUND, LOOKS, EditsMeasure, EditsTask
from pipeline.evaluate.inverted import STAGES
from pipeline.evaluate.networks import finder_name
from pipeline.evaluate.pictures import find_pictures, spread
from pipeline.evaluate.report import Cell, Evaluation, Row, Table, mean, numbers
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.evaluate.standard import EDITS
from pipeline.session import Json

REACH: Final = 0.8
LEAK: Final = 0.15
SHARPNESS: Final = 0.9

ABOUT = """\
Every picture is inverted ({quality}), then twelve small drags are made on the rendering, with the
generator as it was ("{before}": the latents of encoder and projection) and with the one that was
tuned to the picture. A drag has its landmarks as handles and the dragged part as its movable mask,
whole heads have none; there are no anchors and no preset's directions. Landmarks are found on the
rendering before and after.

"Tracked" is how far the handles came along the asked way, as a share of it, as the engine tracks
them; "by landmarks" the same of the landmarks that are found. "Leak" is the mean movement of all
inner landmarks (brows, eyes, nose, mouth) that were not dragged, as a share of the way asked for;
"other parts" that of the inner landmarks outside the dragged part, whose neighbours move with it
in any face. Of whole heads it is what remains of the movement of all inner landmarks after the
best affine map: a change of expression. "Sharpness" is the mean squared gradient of the luminance
within {around} eyes apart of the straight ways from handles to targets, after over before: two
faint copies of a part, as a cross-fade shows, have half. Identity is the cosine of {identity}
between the picture and the edited rendering, "unedited" between the picture and the rendering.
Asked is the mean length of the way in pixels of a crop of 512. The aims are a reach of at least
{reach}, a leak below {leak} and a sharpness of at least {sharpness}. The folder "{looks}" has a
sheet of each picture and engine: edits before tuning, and below them the same after tuning.

{count} pictures; generator {generator} ({side} px), landmarks by {finder}. {skipped}
"""


def evaluate_edits(
    setting: Setting,
    *,
    chosen: Path,
    name: str,
    quality: str,
    engines: Mapping[str, int | None],
    count: int | None = None,
    identity: Path | None = None,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure the standard edits on the pictures of a folder.

    Args:
        setting: of every evaluation.
        chosen: folder of photos, or of aligned portraits with their index, of which those that no
            network was trained on are taken.
        name: what to call them.
        quality: of the inversions, a key of `inversion.invert.QUALITIES`.
        engines: names in `editing.engine.ENGINES` -> at most so many pictures, None for all.
        count: at most so many pictures, evenly spread over the folder; None takes all.
        identity: file of the identity network; else the one that the environment names, if any.
        watch: sees the measurements go by.

    Raises:
        EvaluationError: the folder holds no picture with a face.
    """
    pictures = find_pictures(chosen, count)
    begin = partial(EditsMeasure.begin, setting, quality, identity)
    measure = begin()
    named = measure.identity.name if measure.identity else None
    depends_on: Json = {
        "generator_sha256": measure.models.sha256,
        "landmarks_by": finder_name(measure.models),
        "identity_network": named,
        "quality": quality,
        "options": asdict(QUALITIES[quality]),
        "edits": hashlib.sha256(repr(EDITS).encode()).hexdigest()[:12],
    }
    tasks = {
        name: [EditsTask(picture=p, engine=name) for p in spread(pictures, limit)]
        for name, limit in engines.items()
    }
    # The engines of a picture follow each other: they share its inversion.
    order = sorted((task for of in tasks.values() for task in of), key=lambda t: t.picture.name)
    records = Measurements(
        name=f"edits-{name}", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in order}, begin)
    found = {name: [records[task.key] for task in of] for name, of in tasks.items()}
    used = {name: [row for row in rows if "skipped" not in row] for name, rows in found.items()}
    most = max(len(rows) for rows in used.values())
    if not most:
        raise EvaluationError(f"no file in {chosen} shows a face that can be edited")
    skipped = len(pictures) - most
    models = measure.models
    about = ABOUT.format(
        quality=quality,
        before=STAGES[0],
        around=AROUND,
        identity=named or "no network (not measured)",
        reach=REACH,
        leak=LEAK,
        sharpness=SHARPNESS,
        looks=LOOKS,
        count=most,
        generator=setting.generator,
        side=models.generator.config.resolution,
        finder=finder_name(models),
        skipped=f"Skipped: {skipped} files without a face that can be edited." if skipped else "",
    )
    stages = [(engine, stage, rows) for engine, rows in used.items() for stage in STAGES if rows]
    return Evaluation(
        name=f"edits-{name}",
        title=f"Standard edits: {name}",
        about=about,
        command=setting.command,
        tables=(
            Table(
                caption="Means over the twelve edits, and how many of them meet the aims in the "
                "mean of their pictures.",
                rows=[_summary(*stage) for stage in stages],
            ),
            *(
                Table(caption=f"The edits, engine {engine}, {stage}.", rows=_edit_rows(stage, rows))
                for engine, stage, rows in stages
            ),
        ),
        facts={"pictures": {name: len(rows) for name, rows in used.items()}, **depends_on},
    )


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
        "tracked": [bool(share >= REACH) for share in numbers(edits, "tracked")],
        "by landmarks": [bool(share >= REACH) for share in numbers(edits, "by landmarks")],
        "leak": [bool(share < LEAK) for share in numbers(edits, "leak")],
        "other parts": [bool(share < LEAK) for share in numbers(edits, "other parts")],
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
        "by landmarks": mean(edits, "by_landmarks"),
        "leak": mean(edits, "leak"),
        "other parts": mean(edits, "other_parts"),
        "sharpness": mean(edits, "sharpness"),
        "identity": mean(edits, "identity"),
        "steps": mean(edits, "steps"),
        "CPU seconds": mean(edits, "cpu_seconds"),
        "faces lost": len(edits) - len(numbers(edits, "by_landmarks")),
    }
