"""How a generator's samples compare with the portraits that it learnt from, and with others.

Are they faces, as varied as portraits are, and are they new? Portraits that were held out are
measured in the same way, and training portraits against them, for what can be expected at best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from editing.regions import FaceFrame
from pipeline.edit import Watch, unwatched
from pipeline.evaluate.frechet import FeatureNetwork, frechet_distance, load_feature_network
from pipeline.evaluate.networks import generator_and_finder, words_of
from pipeline.evaluate.pairs import pack, unpack
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Cell, Evaluation, Row, Table, mean
from pipeline.evaluate.samples import (
    Points,
    find_landmarks,
    in_float32,
    random_source,
    sample_latents,
)
from pipeline.evaluate.setting import Measurements, Setting
from pipeline.models import Models
from pipeline.session import Json
from weights.stylegan2 import Generator
from weights.training.portraits import Portraits, load_portraits
from weights.training.sheets import save_sheet

SHEET: Final = 8
"""Rows and columns of the sheet of samples."""
_NEAR = 8
"""So many training portraits, the nearest by pixels, are compared by the perceptual distance."""
_THUMBNAIL = 16

ABOUT = """\
{count} samples of {generator} ({side} px) at each truncation psi, beside the {val} held-out
portraits and the {train} that it was trained on. The Frechet distance is that of the features of
{network}, from the held-out and from the training portraits, all of them or those in colour; the
rows of portraits show what it is without any generator: from the other split, and, for "training,
as many", from the held-out portraits for as many training portraits as there are samples. It is
biased upwards for few pictures, so compare rows of the same number.

"Faces" is the share of pictures in which {finder} finds a face, "sane" that in which its landmarks
also lie as in a face: upright, of the size of an aligned face, brows above eyes above nose above
mouth above chin, left before right. "Nearest training" is the mean {perceptual} distance to the
nearest training portrait (of the {near} nearest by pixels); copies of training portraits would be
far below the held-out portraits there. "Variety" is the mean distance of two successive pictures.
"""

Kind = Literal["sample", "val", "train"]


@dataclass(frozen=True, kw_only=True)
class DrawnTask:
    """A sample at a truncation, or a portrait of a split."""

    kind: Kind
    index: int
    psi: float = 0.0

    @property
    def key(self) -> str:
        """Name of the record."""
        psi = f"/{self.psi:g}" if self.kind == "sample" else ""
        return f"{self.kind}{psi}/{self.index}"


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnMeasure:
    """Measures samples and portraits with networks that are loaded.

    Attributes:
        setting: of the evaluation.
        models: find faces and measure distances.
        exact: the generator in float32.
        network: for the Frechet distance.
        portraits: by split.
        thumbnails: `[N, D]` of the training portraits.
    """

    setting: Setting
    models: Models
    exact: Generator
    network: FeatureNetwork
    portraits: dict[Kind, Portraits]
    thumbnails: Tensor

    @classmethod
    def begin(cls, setting: Setting, folder: Path) -> "DrawnMeasure":
        """Load the networks and the portraits."""
        models = setting.load()
        side = models.generator.config.resolution
        portraits: dict[Kind, Portraits] = {
            "val": load_portraits(folder, "val", side),
            "train": load_portraits(folder, "train", side),
        }
        train = portraits["train"]
        parts = [train.network_images(slice(k, k + 64)) for k in range(0, len(train.images), 64)]
        return cls(
            setting=setting,
            models=models,
            exact=in_float32(models.generator),
            network=load_feature_network(models.device),
            portraits=portraits,
            thumbnails=torch.cat([_thumbnails(part) for part in parts]),
        )

    def __call__(self, task: DrawnTask) -> Json:
        """Measure one picture; a record of plain JSON values."""
        image = self.picture(task)
        row: Json = {"features": pack(self.network.describe(image))}
        if task.kind == "train":
            return row
        landmarks = find_landmarks(image, self.models)
        return {
            **row,
            "face": landmarks is not None,
            "sane": landmarks is not None and is_sane(landmarks, image.shape[-1]),
            "nearest": self.nearest(image),
            "variety": self._apart(image, self.picture(self._next(task))),
        }

    @torch.no_grad()
    def picture(self, task: DrawnTask) -> Tensor:
        """Its picture `[1, 3, R, R]` in [-1, 1]."""
        if task.kind == "sample":
            source = random_source(self.setting.seed, task.index)
            return self.exact(sample_latents(self.exact, source, task.psi)).clamp(-1, 1)
        chosen = slice(task.index, task.index + 1)
        return self.portraits[task.kind].network_images(chosen).to(self.models.device)

    @torch.no_grad()
    def nearest(self, image: Tensor) -> float:
        """Perceptual distance to the nearest training portrait, of the nearest by pixels."""
        away = torch.cdist(_thumbnails(image.cpu()), self.thumbnails)[0]
        count = min(_NEAR, len(self.thumbnails))
        near = self.portraits["train"].network_images(away.topk(count, largest=False).indices)
        near = near.to(image)
        return float(self.models.perceptual(image.expand_as(near), near).min())

    @torch.no_grad()
    def _apart(self, a: Tensor, b: Tensor) -> float:
        return float(self.models.perceptual(a, b).mean())

    def _next(self, task: DrawnTask) -> DrawnTask:
        if task.kind == "sample":
            return DrawnTask(kind="sample", index=task.index + 1, psi=task.psi)
        count = len(self.portraits[task.kind].images)
        return DrawnTask(kind=task.kind, index=(task.index + 1) % count)


def is_sane(landmarks: Points, side: int) -> bool:
    """Whether landmarks `[68, 2]` lie as in an upright, aligned face on a picture of this side."""
    frame = FaceFrame.of(landmarks)
    face = frame.to_face(landmarks)
    brows, eyes, nose, mouth, chin = (
        float(face[part, 1].mean()) for part in (range(17, 27), range(36, 48), 30, range(48, 68), 8)
    )
    in_order = brows < eyes < nose < mouth < chin
    across = face[[0, 36, 39, 42, 45, 16], 0]
    lips = face[[48, 51, 54], 0]
    left_to_right = bool((np.diff(across) > 0).all() and (np.diff(lips) > 0).all())
    upright = bool(frame.axes[0, 0] > np.cos(np.radians(20)))
    inside = bool(landmarks[17:].min() >= 0 and landmarks[17:].max() <= side)
    sized = 0.15 < frame.scale / side < 0.35
    return in_order and left_to_right and upright and inside and sized


def evaluate_samples(
    setting: Setting,
    *,
    chosen: Path,
    count: int,
    psis: Sequence[float],
    watch: Watch = unwatched,
) -> Evaluation:
    """Measure samples of a generator, and the portraits of a folder beside them.

    Args:
        setting: of every evaluation.
        chosen: folder of aligned portraits with `index.json`, see `weights.training.portraits`.
        count: number of samples at each psi.
        psis: truncations.
        watch: sees the measurements go by.

    Raises:
        WeightsError: the folder is no folder of portraits.
    """
    measure = DrawnMeasure.begin(setting, chosen)
    train, val = measure.portraits["train"], measure.portraits["val"]
    depends_on: Json = {
        **generator_and_finder(measure.models),
        "frechet_network": measure.network.name,
        "perceptual": measure.models.perceptual.name,
        "portraits": {"train": len(train.images), "val": len(val.images)},
    }
    tasks = [DrawnTask(kind="val", index=k) for k in range(len(val.images))]
    tasks += [DrawnTask(kind="sample", index=k, psi=psi) for psi in psis for k in range(count)]
    tasks += [DrawnTask(kind="train", index=k) for k in range(len(train.images))]
    records = Measurements(
        name="samples", setting=setting, depends_on=depends_on, watch=watch
    ).measure({task.key: task for task in tasks}, partial(DrawnMeasure.begin, setting, chosen))
    _save_sheets(measure, setting.folder, count, psis)
    return Evaluation(
        name="samples",
        title="Samples",
        about=ABOUT.format(
            count=count,
            val=len(val.images),
            train=len(train.images),
            network=measure.network.name,
            perceptual=measure.models.perceptual.name,
            near=_NEAR,
            **words_of(measure.models),
        ),
        command=setting.command,
        tables=(
            Table(caption="Samples and portraits.", rows=_rows(records, measure, count, psis)),
        ),
        facts={"count": count, "psi": list(psis), **depends_on},
    )


def _rows(records: Records, measure: DrawnMeasure, count: int, psis: Sequence[float]) -> list[Row]:
    train, val = measure.portraits["train"], measure.portraits["val"]
    known = _all(records, "train", len(train.images))
    held_out = _all(records, "val", len(val.images))
    rng = np.random.default_rng(measure.setting.seed)
    some = rng.permutation(len(known))[:count]

    def from_portraits(features: NDArray[np.float64]) -> dict[str, Cell]:
        return {
            "Frechet, held-out": frechet_distance(features, _features(held_out)),
            "training": frechet_distance(features, _features(known)),
            "held-out colour": frechet_distance(features, _features(held_out)[val.colour.numpy()]),
            "training colour": frechet_distance(features, _features(known)[train.colour.numpy()]),
        }

    def row(name: str, rows: Sequence[Json]) -> Row:
        return {
            "pictures": name,
            "number": len(rows),
            **from_portraits(_features(rows)),
            "faces": mean(rows, "face"),
            "sane": mean(rows, "sane"),
            "nearest training": mean(rows, "nearest"),
            "variety": mean(rows, "variety"),
        }

    drawn = [
        row(
            f"samples, psi {psi:g}",
            [records[DrawnTask(kind="sample", index=k, psi=psi).key] for k in range(count)],
        )
        for psi in psis
    ]
    colour = [held_out[k] for k in np.flatnonzero(val.colour.numpy())]
    return [
        *drawn,
        row("held-out", held_out),
        row("held-out, colour", colour),
        row("training, as many", [known[k] for k in some]),
    ]


def _all(records: Records, kind: Kind, count: int) -> list[Json]:
    return [records[DrawnTask(kind=kind, index=k).key] for k in range(count)]


def _features(rows: Sequence[Json]) -> NDArray[np.float64]:
    return np.stack([unpack(str(row["features"])) for row in rows])


def _thumbnails(images: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(images, _THUMBNAIL).flatten(1)


def _save_sheets(measure: DrawnMeasure, folder: Path, count: int, psis: Sequence[float]) -> None:
    """The first samples at each psi, eight in a row."""
    rows = min(SHEET, count // SHEET)
    for psi in psis if rows else ():
        tasks = [DrawnTask(kind="sample", index=k, psi=psi) for k in range(rows * SHEET)]
        pictures = torch.cat([measure.picture(task) for task in tasks])
        save_sheet(pictures.unflatten(0, (rows, SHEET)), folder / f"samples-psi-{psi:g}.png")
