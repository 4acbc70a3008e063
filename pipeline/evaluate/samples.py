"""Pictures that a generator draws, as subjects of an edit."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inversion.types import Inversion, InversionReport, Pivot
from pipeline.faces import find_faces
from pipeline.models import Models
from weights.stylegan2 import Generator

Points = NDArray[np.float64]


def random_source(seed: int, index: int) -> torch.Generator:
    """Randomness of one measurement, the same however many there are."""
    state = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


@torch.no_grad()
def sample_latents(generator: Generator, source: torch.Generator, psi: float) -> Tensor:
    """Latents `[1, L, w_dim]` of a sample, truncated towards the mean by psi."""
    z = torch.randn(1, generator.config.z_dim, generator=source)
    return generator.map(z.to(generator.mapping.w_avg.device), psi)


def in_float32(generator: Generator) -> Generator:
    """A copy that computes in float32: as the authors' engine does, and for what is measured."""
    copied = copy.deepcopy(generator)
    copied.compute_dtype = torch.float32
    return copied


def as_subject(generator: Generator, latents: Tensor) -> Inversion:
    """A sample as an inversion that is exact and tunes nothing."""
    report = InversionReport(
        start="sample", space="w", seed=0, projection_steps=0, tuning_steps=0,
        perceptual_name="none",
    )  # fmt: skip
    return Inversion(generator, Pivot(latents, generator.noise_maps()), report, "", {})


def to_rgb(image: Tensor) -> NDArray[np.float32]:
    """A picture `[1, 3, R, R]` in [-1, 1] as photo pixels `[R, R, 3]` in [0, 1]."""
    rgb = (image[0].detach().float().clamp(-1, 1) + 1) / 2
    return np.ascontiguousarray(rgb.permute(1, 2, 0).cpu().numpy())


def find_landmarks(image: Tensor, models: Models) -> Points | None:
    """Landmarks [68, 2] of the largest face of a picture, crop pixels; None where there is none."""
    faces = find_faces(to_rgb(image), finder=models.finder, device=models.device)
    if not faces:
        return None
    return max(faces, key=lambda face: face.box[3] - face.box[1]).landmarks
