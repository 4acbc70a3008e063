"""What an inversion measured of itself, and what that means for an edit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Measured on 50 pictures at three qualities, see benchmarks/inversion-choices.md. Both perceptual
# distances have the same scale, within a fifth.
POOR = 0.08
"""Perceptual distance above which a picture is a likeness rather than the person."""

FAR = 1.4
"""Distance of the latents from the mean, in deviations, above which edits fall short."""

KEPT = 0.5
"""Share of an expression below which tuning has taken what edits need."""


@dataclass(frozen=True, kw_only=True)
class InversionReport:
    """What was measured. Figures compare with the crop where it is valid.

    Attributes:
        start: where projection started.
        space: "w" or "w+".
        seed: of all randomness.
        projection_steps: steps taken over the latents.
        tuning_steps: steps taken over the generator.
        seconds: wall-clock time of everything; of all crops where several share a generator.
        perceptual_name: which perceptual distance was used.
        start_psnr: dB, at the start of projection.
        start_perceptual: perceptual distance there.
        pivot_psnr: dB, after projection.
        pivot_perceptual: perceptual distance there.
        psnr: dB, after tuning.
        perceptual: perceptual distance there.
        losses: at most 64 losses, evenly spaced over the steps taken.
        distance: of the latents from the mean latent, root mean square over layers, in deviations.
        spread: of the latents of one layer about the layers' mean, in deviations; 0 in W.
        forgetting: perceptual distance that tuning moved the picture of another face.
        kept: share of what the first expressions, a smile and an open mouth, do to the face that
            tuning left; None where the generator has no directions, or was not tuned.
        stored_error: what rounding the tuned weights changed, root mean square in 8-bit levels.
    """

    start: str
    space: str
    seed: int
    projection_steps: int
    tuning_steps: int
    perceptual_name: str
    seconds: float = 0.0
    start_psnr: float = 0.0
    start_perceptual: float = 0.0
    pivot_psnr: float = 0.0
    pivot_perceptual: float = 0.0
    psnr: float = 0.0
    perceptual: float = 0.0
    losses: tuple[float, ...] = ()
    distance: float = 0.0
    spread: float = 0.0
    forgetting: float = 0.0
    kept: float | None = None
    stored_error: float = 0.0

    @property
    def steps(self) -> int:
        """Steps taken in both phases."""
        return self.projection_steps + self.tuning_steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons why an edit may not come out well, a line each; none when all is well."""
        found: list[str] = []
        if self.perceptual > POOR:
            found.append(
                f"the match is poor (perceptual distance {self.perceptual:.3f}, above "
                f"{POOR:.3f}): edits may look odd; take a higher quality, or hide what covers it"
            )
        if self.distance > FAR:
            found.append(
                f"it lies far from what the generator knows ({self.distance:.2f} "
                f"deviations, above {FAR:.2f}): edits may fall short"
            )
        if self.kept is not None and self.kept < KEPT:
            found.append(
                f"tuning took expressions from the face ({max(0, self.kept):.1%} of what they did "
                f"is left, below {KEPT:.0%}): large edits may show faults; take balanced or best, "
                "which keep them"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Give the attributes as JSON's types."""
        return {**asdict(self), "losses": list(self.losses)}

    @staticmethod
    def from_json(record: dict[str, Any]) -> InversionReport:
        """Undo `to_json`; raises TypeError or KeyError for another record."""
        values: dict[str, Any] = {**record, "losses": tuple(record["losses"])}
        return InversionReport(**values)
