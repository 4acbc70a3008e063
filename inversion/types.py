"""What inversion takes and gives: options, steps, and the `Inversion` that engines edit.

Images are `[1, 3, R, R]` float32 in [-1, 1], latents `[1, L, w_dim]` float32, with R and L those of
the generator.
"""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inversion.errors import BrokenInversionError, InversionError, WrongBaseError
from weights.files import write_safetensors
from weights.store import parameters_sha256
from weights.stylegan2 import Generator

Phase = Literal["encode", "project", "tune"]
FORMAT = "photodrag-inversion-1"
_LATENTS = "pivot.latents"
_PREFIX = "generator."


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
        projection_l2: weight of the mean square error beside the perceptual distance of weight 1.
        pull: weight of the mean square distance from the encoder's latents.
        tuning_steps: most steps of Adam over the generator's weights; 0 keeps the generator.
        tuning_rate: its learning rate.
        tuning_decay: share of the tuning steps over which the rate falls linearly at the end.
        tuning_l2: weight of the mean square error.
        tuning_perceptual: weight of the perceptual distance.
        threshold: tuning stops at this perceptual distance.
        locality_weight: weight of the locality regularisation; 0 leaves it out.
        locality_distance: how far from the pivot it compares the generators (alpha).
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
    projection_l2: float = 0.0
    pull: float = 0.0
    tuning_steps: int = 350
    tuning_rate: float = 3e-4
    tuning_decay: float = 0.0
    tuning_l2: float = 1.0
    tuning_perceptual: float = 1.0
    threshold: float = 0.06
    locality_weight: float = 0.0
    locality_distance: float = 30.0

    def __post_init__(self) -> None:
        """Refuse negative numbers and a range that is none.

        Raises:
            InversionError: naming the option.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) and not value >= 0:
                raise InversionError(f"inversion option {field.name} must not be negative: {value}")
        for name in ("ramp_up", "ramp_down", "tuning_decay"):
            if getattr(self, name) > 1:
                raise InversionError(f"inversion option {name} is a share of the steps, at most 1")
        if self.latent_samples < 2:
            raise InversionError("inversion option latent_samples must be at least 2")


@dataclass(frozen=True)
class Pivot:
    """End of PTI's first phase.

    Attributes:
        latents: `[1, L, w_dim]`.
        noise: the maps that the inversion renders with, by name as in `Generator.noise_maps`. They
            are the tuned generator's own constants: as in PTI, the maps that projection optimised
            have served their purpose (to keep texture out of the latents) and are dropped, so
            `noise="const"` and these maps draw the same picture.
    """

    latents: Tensor
    noise: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class InversionReport:
    """What was measured. Figures compare with the crop where it is valid.

    Attributes:
        start: where projection started.
        space: "w" or "w+".
        seed: of all randomness.
        projection_steps: steps taken over the latents.
        tuning_steps: steps taken over the generator.
        seconds: wall-clock time of everything.
        perceptual_name: which perceptual distance was used.
        start_psnr: dB, at the start of projection.
        start_perceptual: perceptual distance there.
        pivot_psnr: dB, after projection.
        pivot_perceptual: perceptual distance there.
        psnr: dB, after tuning.
        perceptual: perceptual distance there.
        losses: at most 64 losses, evenly spaced over the steps taken.
    """

    start: str
    space: str
    seed: int
    projection_steps: int
    tuning_steps: int
    seconds: float
    perceptual_name: str
    start_psnr: float
    start_perceptual: float
    pivot_psnr: float
    pivot_perceptual: float
    psnr: float
    perceptual: float
    losses: tuple[float, ...]

    @property
    def steps(self) -> int:
        """Steps taken in both phases."""
        return self.projection_steps + self.tuning_steps

    def to_json(self) -> dict[str, Any]:
        """Give the attributes as JSON's types."""
        return {**asdict(self), "losses": list(self.losses)}

    @staticmethod
    def from_json(record: dict[str, Any]) -> InversionReport:
        """Undo `to_json`; raises TypeError or KeyError for another record."""
        values: dict[str, Any] = {**record, "losses": tuple(record["losses"])}
        return InversionReport(**values)


@dataclass(frozen=True)
class Inversion:
    """A crop as latents and a generator tuned to it.

    Attributes:
        generator: tuned, frozen, in evaluation mode.
        pivot: the latents that give the crop.
        report: what was measured on the way.
        base_sha256: hash of the untuned generator's parameters, as
            `weights.store.parameters_sha256` gives it.
        changed: names of the generator's parameters that differ from the untuned ones.
    """

    generator: Generator
    pivot: Pivot
    report: InversionReport
    base_sha256: str
    changed: frozenset[str]

    @torch.no_grad()
    def render(self, latents: Tensor | None = None) -> Tensor:
        """Draw latents `[N, L, w_dim]`, or the pivot: images `[N, 3, R, R]`, not clipped."""
        return self.generator(self.pivot.latents if latents is None else latents)

    def save(self, path: Path) -> None:
        """Write the pivot and the changed parameters as safetensors, whole or not at all.

        Raises:
            InversionError: the file cannot be written.
        """
        state = self.generator.state_dict()
        tensors = {_PREFIX + name: state[name].detach().cpu() for name in sorted(self.changed)}
        tensors[_LATENTS] = self.pivot.latents.detach().cpu()
        header = {
            "format": FORMAT,
            "base_sha256": self.base_sha256,
            "report": json.dumps(self.report.to_json()),
        }
        try:
            write_safetensors(path, tensors, header)
        except (OSError, SafetensorError) as error:
            raise InversionError(f"cannot write the inversion {path}: {error}") from error

    @staticmethod
    def load(path: Path, base: Generator) -> Inversion:
        """Read a stored inversion onto the device of the generator that it was made with.

        Args:
            path: file that `save` wrote.
            base: the untuned generator; stays as it is.

        Raises:
            BrokenInversionError: the file is missing, damaged or of another kind.
            WrongBaseError: it was made with another generator.
        """
        header, tensors = _read(path)
        sha256 = parameters_sha256(base)
        if header["base_sha256"] != sha256:
            raise WrongBaseError(
                f"{path} was made with another generator ({header['base_sha256'][:12]}, "
                f"this one is {sha256[:12]}): "
                "invert the photo again, or choose that generator"
            )
        return _restore(path, header, tensors, base)


@dataclass(frozen=True, kw_only=True)
class InversionStep:
    """One step of an inversion.

    Attributes:
        phase: "encode" (once, before the first step), "project" or "tune".
        index: steps done in this phase, from 1; 0 when encoding.
        total: most steps of this phase.
        loss: what was minimised, before this step.
        perceptual: perceptual distance to the crop, before this step.
        inversion: the result, on the last step only.
    """

    phase: Phase
    index: int
    total: int
    loss: float
    perceptual: float
    inversion: Inversion | None = None


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BrokenInversionError(
            f"{path} is not a stored inversion ({error}): invert the photo again"
        ) from error
    if header.get("format") != FORMAT or not {"base_sha256", "report"} <= header.keys():
        found = header.get("format", "no format")
        raise BrokenInversionError(
            f"{path} is not a stored inversion: it states {found}, not {FORMAT}"
        )
    return header, tensors


def _restore(
    path: Path, header: dict[str, str], tensors: dict[str, Tensor], base: Generator
) -> Inversion:
    generator = copy.deepcopy(base).eval().requires_grad_(False)
    tuned = {
        name.removeprefix(_PREFIX): value
        for name, value in tensors.items()
        if name.startswith(_PREFIX)
    }
    shape = (1, base.config.num_latents, base.config.w_dim)
    try:
        latents = tensors[_LATENTS].to(base.mapping.w_avg.device)
        report = InversionReport.from_json(json.loads(header["report"]))
        unknown = generator.load_state_dict(tuned, strict=False).unexpected_keys
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BrokenInversionError(
            f"{path} is damaged ({error}): invert the photo again"
        ) from error
    if unknown or latents.shape != shape:
        raise BrokenInversionError(
            f"{path} is damaged: latents {list(latents.shape)}, {len(unknown)} unknown parameters"
        )
    pivot = Pivot(latents, generator.noise_maps())
    return Inversion(generator, pivot, report, header["base_sha256"], frozenset(tuned))
