"""A picture's inversion before and after tuning, and the engine that drags both."""

from dataclasses import dataclass
from typing import Final

from torch import Tensor

from editing.engine import ENGINES
from inversion.expressions import expression_steps
from inversion.invert import finish_inversion, invert
from inversion.options import InversionOptions
from inversion.types import Inversion, Pivot
from pipeline.evaluate.pairs import digest
from pipeline.evaluate.pictures import Picture
from pipeline.models import Models
from weights.stylegan2 import Generator

STAGES: Final = ("before tuning", "after tuning")


@dataclass(frozen=True, kw_only=True)
class EngineTask:
    """A picture, and the engine, by name, that drags its inversion."""

    picture: Picture
    engine: str

    @property
    def key(self) -> str:
        """Name of the record; an engine with other options has another one."""
        return f"{self.picture.name}/{self.engine}/{digest(ENGINES[self.engine])}"


def invert_picture(
    crop: Tensor, valid: Tensor | None, models: Models, options: InversionOptions, seed: int
) -> Inversion:
    """Invert a crop `[1, 3, R, R]` with the networks of an evaluation; see `invert`."""
    return finish_inversion(
        invert(
            crop, valid, models.generator, models.perceptual, options,
            encoder=models.encoder, seed=seed, directions=expression_steps(models.directions),
        )
    )  # fmt: skip


def untuned(inversion: Inversion, base: Generator) -> Inversion:
    """The same latents with the generator as it was before tuning."""
    pivot = Pivot(inversion.pivot.latents, base.noise_maps())
    return Inversion(base, pivot, inversion.report, inversion.base_sha256, {})
