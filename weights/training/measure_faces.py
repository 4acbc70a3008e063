"""How well the face finder's networks do on portraits that they did not see."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weights.face_finder import SQUARE_MARGIN, FaceDetector, LandmarkNetwork, face_square
from weights.training.augment_faces import Faces, faceless_sample, landmark_sample, mosaic
from weights.training.backgrounds import Backgrounds

_HELD_OUT = 2**32


@torch.no_grad()
def landmark_errors(network: LandmarkNetwork, held_out: Faces, *, seed: int = 0) -> Tensor:
    """Return each portrait's mean landmark error as a share of the outer eye distance, [N].

    Each face is given as a detector would give it (no roll, centre and size somewhat off) and is
    placed twice.
    """
    rng = np.random.default_rng([seed, _HELD_OUT])
    errors: list[Tensor] = []
    network.eval()
    for picture, landmarks in zip(held_out.pictures, held_out.landmarks, strict=True):
        image = torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None]
        x, y, side, _ = face_square(landmarks)
        size = side / SQUARE_MARGIN * np.exp(rng.normal(0, 0.08))
        x, y = np.array([x, y]) + rng.normal(0, 0.04, 2) * size
        square = np.array([x, y, size * SQUARE_MARGIN, 0.0])
        first = network.locate(image, torch.from_numpy(square[None])).points[0].numpy()
        own = torch.from_numpy(face_square(first)[None])
        points = network.locate(image, own).points[0].numpy()
        off = np.linalg.norm(points - landmarks, axis=1).mean()
        errors.append(torch.tensor(off / np.linalg.norm(landmarks[36] - landmarks[45])))
    return torch.stack(errors)


@torch.no_grad()
def held_out_figures(
    landmarks: LandmarkNetwork, detector: FaceDetector, held_out: Faces, *, mosaics: int = 96
) -> dict[str, float]:
    """Measure both networks on portraits that they did not see."""
    errors = landmark_errors(landmarks, held_out)
    rng = np.random.default_rng([1, _HELD_OUT])
    backgrounds = Backgrounds(held_out.pictures)
    faceless = np.stack([faceless_sample(rng, held_out, backgrounds) for _ in range(mosaics)])
    faces = np.stack([landmark_sample(rng, held_out, backgrounds)[0] for _ in range(mosaics)])
    of_faceless = landmarks(torch.from_numpy(faceless)[:, None])[1]
    of_faces = landmarks(torch.from_numpy(faces)[:, None])[1]
    hits = total = false = 0
    for _ in range(mosaics):
        picture, heat, _, weight = mosaic(rng, held_out, backgrounds)
        score = detector(torch.from_numpy(picture)[None, None])[0][0].sigmoid()
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
        "faces_accepted": float((of_faces > 0).float().mean()),
        "faceless_accepted": float((of_faceless > 0).float().mean()),
        "detector_recall": hits / max(total, 1),
        "detector_false_per_mosaic": false / mosaics,
    }
