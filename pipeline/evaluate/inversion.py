"""Inversions of pictures: how true they are, what they cost, and how they edit.

PTI (Roich et al. 2021) trades editability for likeness, and time for both. Every picture is
inverted at each quality, and each inversion then goes through the same edits.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import torch

from inversion.expressions import expression_steps, expressions_kept
from inversion.invert import QUALITIES, finish_inversion, invert
from inversion.options import InversionOptions
from pipeline.edit import Watch, unwatched
from pipeline.errors import EvaluationError, FaceError, PhotoError
from pipeline.evaluate.groups import find_looks, group_looks
from pipeline.evaluate.identity import load_identity_network
from pipeline.evaluate.inversion_edits import EDITS, Edits
from pipeline.evaluate.inversion_tables import (
    cost_rows,
    each_picture,
    edit_rows,
    group_rows,
    paired_rows,
)
from pipeline.evaluate.memory import peak_bytes, reset_peak
from pipeline.evaluate.networks import finder_name
from pipeline.evaluate.pictures import Picture, find_pictures, read_picture, spread
from pipeline.evaluate.report import Evaluation, Table
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.models import Models
from pipeline.session import Json

UNTUNED: Final = "encoder"
"""Name of the row without any optimisation: what edits are like before tuning."""

LOOKS: Final = "looks"

ABOUT = """\
Every picture is inverted at each quality; "{untuned}" stands for the encoder alone, before any
projection or tuning. Likeness is measured between the picture and the inversion's rendering where
the picture is real: PSNR in dB, mean square error (pixels in [0, 1]), {perceptual}, and identity,
the cosine of {identity}. Seconds are wall-clock time on a machine that may do other work; CPU
seconds are the processor's time in this process alone. The peak is the process's resident memory.

Editability, on the inversion's own rendering: presets at strength 1 and a drag ({edits}) with the
default engine. Landmarks are found before and after each; what is left of the way is the mean
distance of the moved ones to their targets over that of no edit, and a picture's figure is the mean
over its edits. "Identity after" is the cosine between the picture and the edited renderings. "Kept"
is the share of what expressions do to the picture before tuning that is left after it. Behind "+-"
stands the standard error over the pictures. The table of differences compares each quality with
{yardstick} on the same picture and edit: below zero is nearer to the targets, and t is the mean
over its standard error. The folder "{looks}" shows each picture, its inversion and the edits.
{grouped}
{count} pictures; generator {generator} ({side} px), landmarks by {finder}. {skipped}
"""


GROUPED = """\
What a portrait shows is told from its label (colour or not) and landmarks: a wide mouth is one of
an eye distance or more, mostly a smile. The luminance of the face, the median over it, depends on
skin and light alike, and stands for skin tone only as far as the portraits are lit alike.
"""


@dataclass(frozen=True, kw_only=True)
class InversionTask:
    """A picture and how it is inverted."""

    picture: Picture
    quality: str

    @property
    def key(self) -> str:
        """Name of the record; other options have other names, new ones at their defaults do not."""
        changed = {
            name: value
            for name, value in asdict(options_of(self.quality)).items()
            if value != getattr(InversionOptions(), name)
        }
        options = json.dumps(changed, sort_keys=True)
        digest = hashlib.sha256(options.encode()).hexdigest()[:12]
        return f"{self.picture.name}/{self.quality}/{digest}"


def options_of(quality: str) -> InversionOptions:
    """Options of a quality, or those that do nothing but ask the encoder."""
    if quality == UNTUNED:
        return replace(QUALITIES["fast"], projection_steps=0, tuning_steps=0)
    return QUALITIES[quality]


@dataclass(frozen=True, kw_only=True, eq=False)
class InversionMeasure:
    """Measures inversions with networks that are loaded.

    Attributes:
        models: the networks.
        edits: what is done to each inversion.
        seed: of all randomness.
    """

    models: Models
    edits: Edits
    seed: int

    @classmethod
    def begin(cls, setting: Setting, identity: Path | None) -> "InversionMeasure":
        """Load the networks."""
        models = setting.load()
        edits = Edits(
            models=models,
            identity=load_identity_network(identity, models.device),
            looks=setting.folder / LOOKS,
        )
        return cls(models=models, edits=edits, seed=setting.seed)

    def __call__(self, task: InversionTask) -> Json:
        """Measure one task; a record of plain JSON values, "skipped" where there is no face."""
        models = self.models
        try:
            crop, valid = read_picture(task.picture, models)
        except (FaceError, PhotoError) as error:
            return {"skipped": str(error)}
        steps = expression_steps(models.directions)
        reset_peak()
        began = time.process_time()
        inversion = finish_inversion(
            invert(
                crop, valid, models.generator, models.perceptual, options_of(task.quality),
                encoder=models.encoder, seed=self.seed, directions=steps,
            )
        )  # fmt: skip
        spent, peak = time.process_time() - began, peak_bytes()
        report = inversion.report
        kept = None
        if steps is not None:
            kept = expressions_kept(
                inversion.generator, models.generator, inversion.pivot.latents, steps
            )
        return {
            "psnr": report.psnr,
            "mse": 10 ** (-report.psnr / 10),
            "perceptual": report.perceptual,
            "seconds": report.seconds,
            "cpu_seconds": spent,
            "peak_mb": None if peak is None else peak / 1e6,
            "steps": [report.projection_steps, report.tuning_steps],
            "distance": report.distance,
            "spread": report.spread,
            "forgetting": report.forgetting,
            "stored_error": report.stored_error,
            "kept": kept,
            "kept_smile": report.kept,
            "warned": bool(report.warnings),
            **self.edits.measure(crop, inversion, f"{task.picture.name}-{task.quality}.png"),
        }


def evaluate_inversion(
    setting: Setting,
    *,
    chosen: Path,
    name: str,
    qualities: Sequence[str],
    count: int | None = None,
    yardstick_count: int | None = None,
    identity: Path | None = None,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure inversions of the pictures in a folder.

    Args:
        setting: of every evaluation.
        chosen: folder of photos, or of aligned portraits with their index, of which those that no
            network was trained on are taken.
        name: what to call them.
        qualities: keys of `inversion.invert.QUALITIES`.
        count: at most so many pictures, evenly spread over the folder; None takes all.
        yardstick_count: at most so many of them at the last quality, which the others are compared
            with; None takes all.
        identity: file of the identity network; else the one that the environment names, if any.
        watch: sees the measurements go by.

    Raises:
        EvaluationError: the folder holds no picture with a face.
    """
    pictures = find_pictures(chosen, count)
    measure = InversionMeasure.begin(setting, identity)
    models, network = measure.models, measure.edits.identity
    named = network.name if network else None
    depends_on: Json = {
        "generator_sha256": models.sha256,
        "landmarks_by": finder_name(models),
        "identity_network": named,
        "perceptual": models.perceptual.name,
        "threads": torch.get_num_threads(),
        "edits": list(EDITS),
    }
    rows = (UNTUNED, *qualities) if models.encoder is not None else tuple(qualities)
    compared = {p.name for p in spread(pictures, yardstick_count)}
    asked = {p.name: rows if p.name in compared else rows[:-1] for p in pictures}
    tasks = [InversionTask(picture=p, quality=q) for p in pictures for q in asked[p.name]]
    records = Measurements(
        name=f"inversion-{name}", setting=setting, depends_on=depends_on, watch=watch
    ).measure(
        {task.key: task for task in tasks}, partial(InversionMeasure.begin, setting, identity)
    )
    found = {
        p.name: {q: records[InversionTask(picture=p, quality=q).key] for q in asked[p.name]}
        for p in pictures
    }
    used = [p for p, by in found.items() if "skipped" not in by[rows[0]]]
    if not used:
        raise EvaluationError(f"no file in {chosen} shows a face that can be inverted")
    skipped = len(pictures) - len(used)
    groups = group_looks(find_looks(chosen, [p for p in pictures if p.name in used]))
    about = ABOUT.format(
        untuned=UNTUNED,
        edits=", ".join(EDITS),
        yardstick=rows[-1],
        looks=LOOKS,
        grouped=GROUPED if groups else "",
        perceptual=models.perceptual.name,
        identity=named or "no network (not measured)",
        count=len(used),
        generator=setting.generator,
        side=models.generator.config.resolution,
        finder=finder_name(models),
        skipped=f"Skipped: {skipped} files without a face that can be inverted." if skipped else "",
    )
    measured = {q: [found[p][q] for p in used if q in found[p]] for q in rows}
    pairs = {q: [found[p][q] for p in used if rows[-1] in found[p]] for q in rows}
    differences = paired_rows(pairs, EDITS)
    return Evaluation(
        name=f"inversion-{name}",
        title=f"Inversions: {name}",
        about=about,
        command=setting.command,
        tables=(
            Table(caption="Means over all pictures: likeness and cost.", rows=cost_rows(measured)),
            Table(
                caption="Means over all pictures: what edits leave of the way.",
                rows=edit_rows(measured, EDITS),
            ),
            Table(caption=f"Differences to {rows[-1]}, paired.", rows=differences),
            *(
                Table(
                    caption=f"By what a portrait shows, {quality}.",
                    rows=group_rows(
                        {p: found[p][quality] for p in used if quality in found[p]}, groups, EDITS
                    ),
                )
                for quality in rows
                if groups
            ),
            *each_picture({p: found[p] for p in used}, rows),
        ),
        facts={
            "pictures": len(used),
            **depends_on,
            "options": {quality: _plain(options_of(quality)) for quality in qualities},
        },
    )


def _plain(options: InversionOptions) -> Json:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(options).items()}
