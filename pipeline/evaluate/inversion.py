"""Inversions of pictures: how true they are, what they cost, and how they edit.

PTI (Roich et al. 2021) trades editability for likeness, and time for both. Every picture is
inverted at each quality, and each inversion then goes through the same edits.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import torch

from inversion.expressions import expression_steps, expressions_kept
from inversion.invert import QUALITIES
from inversion.options import InversionOptions
from inversion.types import Inversion
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
from pipeline.evaluate.networks import generator_and_finder, identity_name, words_of
from pipeline.evaluate.pictures import Picture, PictureSet, read_picture, spread
from pipeline.evaluate.report import Evaluation, Table, tell_skipped
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.evaluate.stages import invert_picture
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
    def begin(cls, setting: Setting) -> "InversionMeasure":
        """Load the networks."""
        models = setting.load()
        edits = Edits(
            models=models,
            identity=load_identity_network(setting.identity, models.device),
            looks=setting.folder / LOOKS,
        )
        return cls(models=models, edits=edits, seed=setting.seed)

    def __call__(self, task: InversionTask) -> Json:
        """Measure one task; a record of plain JSON values, "skipped" where there is no face."""
        try:
            crop, valid = read_picture(task.picture, self.models)
        except (FaceError, PhotoError) as error:
            return {"skipped": str(error)}
        reset_peak()
        began = time.process_time()
        inversion = invert_picture(crop, valid, self.models, options_of(task.quality), self.seed)
        spent, peak = time.process_time() - began, peak_bytes()
        report = inversion.report
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
            "kept": self.kept(inversion),
            "warned": bool(report.warnings),
            **self.edits.measure(crop, inversion, f"{task.picture.name}-{task.quality}.png"),
        }

    def kept(self, inversion: Inversion) -> float | None:
        """Share of what expressions do that tuning left; None for a generator without any."""
        steps = expression_steps(self.models.directions)
        if steps is None:
            return None
        latents = inversion.pivot.latents
        return expressions_kept(
            inversion.generator, self.models.generator, latents, torch.cat((steps, -steps))
        )


Found: TypeAlias = Mapping[str, Mapping[str, Json]]
"""The records by picture and quality."""


def evaluate_inversion(
    setting: Setting,
    chosen: PictureSet,
    *,
    qualities: Sequence[str],
    yardstick_count: int | None = None,
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure inversions of a set of pictures.

    Args:
        setting: of every evaluation.
        chosen: what is inverted.
        qualities: keys of `inversion.invert.QUALITIES`.
        yardstick_count: at most so many of the pictures at the last quality, which the others are
            compared with; None takes all.
        watch: sees the measurements go by.

    Raises:
        EvaluationError: the folder holds no picture with a face.
    """
    pictures = chosen.find()
    measure = InversionMeasure.begin(setting)
    depends_on = _settings(measure)
    rows = (UNTUNED, *qualities) if measure.models.encoder is not None else tuple(qualities)
    compared = spread(pictures, yardstick_count)
    tasks = {
        p.name: {
            q: InversionTask(picture=p, quality=q) for q in rows if q != rows[-1] or p in compared
        }
        for p in pictures
    }
    records = Measurements(
        name=f"inversion-{chosen.name}", setting=setting, depends_on=depends_on, watch=watch
    ).measure(
        {task.key: task for of in tasks.values() for task in of.values()},
        partial(InversionMeasure.begin, setting),
    )
    found = {p: {q: records[task.key] for q, task in of.items()} for p, of in tasks.items()}
    used = {
        p: by for p, by in found.items() if by and not any("skipped" in row for row in by.values())
    }
    if not used:
        raise EvaluationError(f"no file in {chosen.folder} shows a face that can be inverted")
    groups = group_looks(find_looks(chosen.folder, [p for p in pictures if p.name in used]))
    return Evaluation(
        name=f"inversion-{chosen.name}",
        title=f"Inversions: {chosen.name}",
        about=_about(measure, rows[-1], len(used), len(pictures) - len(used), grouped=bool(groups)),
        command=setting.command,
        tables=_tables(used, rows, groups),
        facts={
            "pictures": len(used),
            **depends_on,
            "options": {quality: _plain(options_of(quality)) for quality in qualities},
        },
    )


def _settings(measure: InversionMeasure) -> Json:
    """What the measurements depend on."""
    network = measure.edits.identity
    return {
        **generator_and_finder(measure.models),
        "identity_network": network.name if network else None,
        "perceptual": measure.models.perceptual.name,
        "threads": torch.get_num_threads(),
        "edits": list(EDITS),
    }


def _about(
    measure: InversionMeasure, yardstick: str, count: int, skipped: int, *, grouped: bool
) -> str:
    return ABOUT.format(
        untuned=UNTUNED,
        edits=", ".join(EDITS),
        yardstick=yardstick,
        looks=LOOKS,
        grouped=GROUPED if grouped else "",
        perceptual=measure.models.perceptual.name,
        identity=identity_name(measure.edits.identity),
        count=count,
        skipped=tell_skipped(skipped),
        **words_of(measure.models),
    )


def _tables(found: Found, rows: Sequence[str], groups: Mapping[str, set[str]]) -> list[Table]:
    """Means, differences to the last quality, groups of portraits, and each picture."""
    yardstick = rows[-1]
    measured = {q: [by[q] for by in found.values() if q in by] for q in rows}
    pairs = {q: [by[q] for by in found.values() if yardstick in by] for q in rows}
    grouped = [
        Table(
            caption=f"By what a portrait shows, {quality}.",
            rows=group_rows(
                {p: by[quality] for p, by in found.items() if quality in by}, groups, EDITS
            ),
        )
        for quality in rows
        if groups
    ]
    return [
        Table(caption="Means over all pictures: likeness and cost.", rows=cost_rows(measured)),
        Table(
            caption="Means over all pictures: what edits leave of the way.",
            rows=edit_rows(measured, EDITS),
        ),
        Table(caption=f"Differences to {yardstick}, paired.", rows=paired_rows(pairs, EDITS)),
        *grouped,
        *each_picture(found, rows),
    ]


def _plain(options: InversionOptions) -> Json:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(options).items()}
