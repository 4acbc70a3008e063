"""How an inversion is found: the options and their named sets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from inversion.errors import InversionError


@dataclass(frozen=True, kw_only=True)
class InversionOptions:
    """How an inversion is found; the defaults are those of PTI (Roich et al. 2021) and its code.

    Attributes:
        start: where projection starts: the mean latent, or the encoder's.
        space: one vector for all layers ("w") or one for each ("w+").
        projection_steps: steps of Adam over the latents; 0 keeps the start.
        projection_rate: its learning rate, before the ramps.
        ramp_up: share of the steps over which the rate rises linearly.
        ramp_down: share of the steps over which it falls along a cosine.
        latent_samples: samples of the mapping network for the mean latent and its deviation.
        latent_noise: noise on the latents, in deviations, fading over the first three quarters.
        noise_weight: weight of the noise maps' regulariser; 0 leaves the noise maps as they are.
        projection_until: side of the last block that projection renders, whose colour image stands
            for the picture; None renders all of it.
        projection_l2: weight of the mean square error beside the perceptual distance of weight 1.
        face_emphasis: how much the mean square errors favour the place of an aligned face: 0 counts
            all pixels alike, 1 none but the face's.
        pull: weight of the mean square distance from the encoder's latents.
        tuning_steps: most steps of Adam over the generator's weights; 0 keeps the generator.
        tuning_rate: its learning rate.
        tuning_relative: whether that rate is in units of each tensor's root mean square.
        tuning_betas: Adam's decay rates of the gradient's mean and mean square.
        tuning_decay: share of the tuning steps over which the rate falls linearly at the end.
        tuning_from: side of the first block that is tuned.
        tuning_styles: whether the layers from latents to styles are tuned too.
        tuning_l2: weight of the mean square error.
        tuning_perceptual: weight of the perceptual distance.
        threshold: tuning stops at this perceptual distance.
        locality_weight: weight of the locality regularisation; 0 leaves it out.
        locality_distance: how far from the pivot it compares the generators (alpha).
        expression_weight: weight of keeping what steps along expressions do, in units of
            `tuning_l2`; 0 leaves it out.
        stored_error: how much rounding the tuned weights may change the picture, root mean square
            in 8-bit levels.
    """

    start: Literal["mean", "encoder"] = "mean"
    space: Literal["w", "w+"] = "w"
    projection_steps: int = 450
    projection_rate: float = 0.01
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    latent_samples: int = 600
    latent_noise: float = 0.05
    noise_weight: float = 1e5
    projection_until: int | None = None
    projection_l2: float = 0.0
    face_emphasis: float = 0.0
    pull: float = 0.0
    tuning_steps: int = 350
    tuning_rate: float = 3e-4
    tuning_relative: bool = False
    tuning_betas: tuple[float, float] = (0.9, 0.999)
    tuning_decay: float = 0.0
    tuning_from: int = 4
    tuning_styles: bool = True
    tuning_l2: float = 1.0
    tuning_perceptual: float = 1.0
    threshold: float = 0.06
    locality_weight: float = 0.0
    locality_distance: float = 30.0
    expression_weight: float = 0.0
    stored_error: float = 0.25

    def __post_init__(self) -> None:
        """Refuse negative numbers and a range that is none.

        Raises:
            InversionError: naming the option.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not value >= 0:
                raise InversionError(f"inversion option {field.name} must not be negative: {value}")
        for name in ("ramp_up", "ramp_down", "tuning_decay", "face_emphasis"):
            if getattr(self, name) > 1:
                raise InversionError(f"inversion option {name} is a share, at most 1")
        if not all(0 <= beta < 1 for beta in self.tuning_betas):
            raise InversionError("inversion option tuning_betas must lie in [0, 1)")
        if self.latent_samples < 2:
            raise InversionError("inversion option latent_samples must be at least 2")
        if self.stored_error == 0:
            raise InversionError("inversion option stored_error must be above 0")
