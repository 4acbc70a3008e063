"""How well a face finder's networks do on faces that they did not see.

    python -m weights.training.measure_faces --data PORTRAITS --heads HEADS --finder FILE

Prints as JSON the figures of the held-out portraits, of these with other expressions, of small
movements of their parts, and of the held-out drawn heads.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weights.errors import PhotodragError
from weights.face_finder import (
    BUILTIN_FACE_FINDER,
    SQUARE_MARGIN,
    FaceFinder,
    face_square,
    load_face_finder,
)
from weights.training.augment_faces import (
    Faces,
    faceless_sample,
    landmark_sample,
    mosaic,
    read_faces,
    with_moved_parts,
)
from weights.training.backgrounds import Backgrounds
from weights.training.expressive_faces import expressive
from weights.training.heads import Heads, read_heads

_HELD_OUT = 2**32
_UPPER = (37, 38, 43, 44, 61, 62, 63)
_LOWER = (41, 40, 47, 46, 67, 66, 65)
_PARTS = {"right_eye": slice(0, 2), "left_eye": slice(2, 4), "mouth": slice(4, 7)}
_GROUPS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}
_STILL = 0.05
"""Share of a face's largest movement below which a landmark counts as still."""
_YAWS = (0, 10, 25, 35, 90)
"""Bounds of the turns that are reported apart, degrees."""


def gaps(landmarks: Tensor) -> Tensor:
    """Return the ways from upper to lower lids and lips, [..., 68, 2] -> [..., 7, 2]."""
    return landmarks[..., _LOWER, :] - landmarks[..., _UPPER, :]


def openings(landmarks: Tensor) -> dict[str, Tensor]:
    """Return how far each eye and the mouth are open, as shares of the outer eye distance.

    Args:
        landmarks: [N, 68, 2], in any unit.

    Returns:
        By name, [N]: lengths along the face's own upright axis, negative where lids cross.
    """
    across = landmarks[:, 45] - landmarks[:, 36]
    down = torch.stack((-across[:, 1], across[:, 0]), -1) / across.square().sum(-1, keepdim=True)
    along = (gaps(landmarks) * down[:, None]).sum(-1)
    return {name: along[:, pairs].mean(-1) for name, pairs in _PARTS.items()}


@torch.no_grad()
def placed(finder: FaceFinder, held_out: Faces, *, seed: int = 0) -> Tensor:
    """Place the landmarks of each face, [N, 68, 2], in px of its picture.

    Each face is given as a detector would give it (no roll, centre and size somewhat off) and is
    placed twice.
    """
    rng = np.random.default_rng([seed, _HELD_OUT])
    found: list[Tensor] = []
    for picture, landmarks in zip(held_out.pictures, held_out.landmarks, strict=True):
        image = torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None]
        x, y, side, _ = face_square(landmarks)
        size = side / SQUARE_MARGIN * np.exp(rng.normal(0, 0.08))
        x, y = np.array([x, y]) + rng.normal(0, 0.04, 2) * size
        square = np.array([x, y, size * SQUARE_MARGIN, 0.0])
        first = finder.locate(image, torch.from_numpy(square[None])).points[0].numpy()
        own = torch.from_numpy(face_square(first)[None])
        found.append(finder.locate(image, own).points[0])
    return torch.stack(found).double()


def landmark_figures(found: Tensor, held_out: Faces) -> tuple[Tensor, dict[str, float]]:
    """Compare landmarks [N, 68, 2] with the labels.

    Returns:
        Each face's mean error as a share of its outer eye distance [N]; over all of them, by name,
        the correlation of each eye's and the mouth's opening with the labels' one.
    """
    truth = torch.from_numpy(held_out.landmarks)
    apart = (truth[:, 36] - truth[:, 45]).norm(dim=-1)
    errors = (found - truth).norm(dim=-1).mean(-1) / apart
    ours, theirs = openings(found), openings(truth)
    pairs = {name: torch.stack((ours[name], theirs[name])) for name in _PARTS}
    return errors, {f"{k}_correlation": float(torch.corrcoef(v)[0, 1]) for k, v in pairs.items()}


def named_figures(name: str, finder: FaceFinder, faces: Faces) -> tuple[Tensor, dict[str, float]]:
    """Return each face's error [N] and figures of all of them, whose names begin with `name`."""
    errors, openness = landmark_figures(placed(finder, faces), faces)
    figures = {"landmark_error": float(errors.mean()), **openness}
    return errors, {f"{name}_{key}": value for key, value in figures.items()}


def head_figures(finder: FaceFinder, heads: Heads) -> dict[str, float]:
    """Measure a face finder on drawn heads, by how far they are turned."""
    errors, figures = named_figures("heads", finder, heads.faces)
    for low, high in itertools.pairwise(_YAWS):
        turned = torch.from_numpy((heads.yaw >= low) & (heads.yaw < high))
        if turned.any():
            figures[f"heads_landmark_error_yaw_{low}_{high}"] = float(errors[turned].mean())
    return figures


def motion_figures(true: Tensor, seen: Tensor) -> dict[str, float]:
    """Compare how landmarks [N, 68, 2] are seen to move with how they did.

    Returns:
        How far those of each group come, as a share of their way; and how far those that stayed
        are seen to move, as a share of the largest movement of their face.
    """
    along, length = (seen * true).sum(-1), true.norm(dim=-1)
    largest = length.amax(1, keepdim=True)
    beside = (seen.norm(dim=-1) / largest)[length < _STILL * largest]
    read = {
        f"motion_{name}": float(along[:, group].sum() / length[:, group].square().sum())
        for name, group in _GROUPS.items()
    }
    return {**read, "motion_beside": float(beside.mean())}


def seen_motion(finder: FaceFinder, faces: Faces) -> tuple[Tensor, Tensor]:
    """Move parts of each face a little; return how landmarks [N, 68, 2] move and are seen to."""
    moved = with_moved_parts(np.random.default_rng([2, _HELD_OUT]), faces)
    true = torch.from_numpy(moved.landmarks - faces.landmarks)
    return true, placed(finder, moved) - placed(finder, faces)


@torch.no_grad()
def held_out_figures(finder: FaceFinder, held_out: Faces, *, mosaics: int = 96) -> dict[str, float]:
    """Measure the networks on portraits that they did not see."""
    errors, openness = landmark_figures(placed(finder, held_out), held_out)
    rng = np.random.default_rng([1, _HELD_OUT])
    backgrounds = Backgrounds(held_out.pictures)
    faceless = np.stack([faceless_sample(rng, held_out, backgrounds) for _ in range(mosaics)])
    faces = np.stack([landmark_sample(rng, held_out, backgrounds)[0] for _ in range(mosaics)])
    of_faceless = finder.landmarks(torch.from_numpy(faceless)[:, None])[1]
    of_faces = finder.landmarks(torch.from_numpy(faces)[:, None])[1]
    hits = total = false = 0
    for _ in range(mosaics):
        picture, heat, _, weight = mosaic(rng, held_out, backgrounds)
        score = finder.detector(torch.from_numpy(picture)[None, None])[0][0].sigmoid()
        near = F.max_pool2d(score[None], 5, 1, 2)[0]
        centres = torch.from_numpy((heat > 0.8) & (weight > 0))
        peak = (near == score) & (score > 0.4) & torch.from_numpy(weight > 0)
        hits += int((near[centres] > 0.4).sum())
        total += int(centres.sum())
        false += int((peak & torch.from_numpy(heat < 0.1)).sum())
    gray = torch.from_numpy(held_out.gray)
    return {
        "landmark_error": float(errors.mean()),
        "landmark_error_gray": float(errors[gray].mean()),
        "landmark_error_colour": float(errors[~gray].mean()),
        "landmark_error_worst": float(errors.max()),
        **openness,
        "faces_accepted": float((of_faces > 0).float().mean()),
        "faceless_accepted": float((of_faceless > 0).float().mean()),
        "detector_recall": hits / max(total, 1),
        "detector_false_per_mosaic": false / mosaics,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure one face finder; return the exit code."""
    parser = argparse.ArgumentParser(prog="weights.training.measure_faces", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of aligned portraits")
    parser.add_argument("--heads", type=Path, help="folder of drawn heads")
    parser.add_argument("--finder", type=Path, default=BUILTIN_FACE_FINDER, help="what to measure")
    parser.add_argument("--limit", type=int, help="at most so many faces of each kind")
    parser.add_argument("--mosaics", type=int, default=96, help="samples for the detector")
    chosen = parser.parse_args(arguments)
    try:
        finder = load_face_finder(chosen.finder)
        held_out = read_faces(chosen.data, "val", limit=chosen.limit)
        figures = held_out_figures(finder, held_out, mosaics=chosen.mosaics)
        acted = expressive(held_out, seed=1)
        figures |= named_figures("expressive", finder, acted)[1]
        figures |= motion_figures(*seen_motion(finder, held_out))
        if chosen.heads is not None:
            heads = read_heads(chosen.heads, "val", limit=chosen.limit)
            figures |= head_figures(finder, heads)
    except PhotodragError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
