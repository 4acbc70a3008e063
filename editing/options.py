"""Options that every drag engine has, and what they may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from editing.errors import OptionError
from editing.spec import DragSpec
from editing.steps import EditStart
from editing.trackers import TRACKERS
from inversion.types import Inversion
from weights.stylegan2 import GeneratorConfig

REFERENCE_SIDE = 512
PIXELS_AT_512 = "px@512"
FEW = 5
"""So many handles are few: the paper's own bound."""


@dataclass(frozen=True, kw_only=True)
class DragOptions:
    """Options of a drag; each field's metadata holds its help text, unit, choices and flag."""

    space: Literal["w", "w+"] = field(
        default="w+",
        metadata={
            "help": "move one shared latent vector or each one",
            "choices": ("w", "w+"),
            "flag": "--space",
        },
    )
    layers: int = field(
        default=6,
        metadata={
            "help": "number of latent vectors, counted from the first, that move",
            "flag": "--layers",
        },
    )
    blocks: tuple[int, ...] | None = field(
        default=None,
        metadata={
            "help": "sides of the feature blocks that are supervised and tracked",
            "flag": "--block",
        },
    )
    learning_rate: float = field(
        default=1e-3,
        metadata={
            "help": "step size: Adam's for the reference and paper engines, in deviations of the "
            "latents for the default one",
            "flag": "--lr",
        },
    )
    radius: float | None = field(
        default=None,
        metadata={
            "help": "radius r1 of the supervised patch",
            "unit": PIXELS_AT_512,
            "flag": "--radius",
        },
    )
    tracking_radius: float = field(
        default=12.0,
        metadata={"help": "reach r2 of the search for a handle", "unit": PIXELS_AT_512},
    )
    mask_weight: float = field(
        default=20.0,
        metadata={
            "help": "weight lambda of keeping what may not change",
            "flag": "--mask-weight",
        },
    )
    reach: float | None = field(
        default=None,
        metadata={
            "help": "distance at which a target counts as reached; default 1, or 2 with more "
            "than five handles; without a mask not less than a pixel of the crop over the root of "
            "the handles' number",
            "unit": PIXELS_AT_512,
        },
    )
    max_steps: int = field(
        default=300, metadata={"help": "number of steps at most", "flag": "--max-steps"}
    )
    tracker: str = field(
        default="nearest",
        metadata={"help": "how the handles are found again", "choices": tuple(TRACKERS)},
    )

    def reach_for(self, spec: DragSpec) -> float:
        """Distance at which a target of this drag counts as reached, px@512."""
        if self.reach is not None:
            return self.reach
        return 1.0 if spec.moving <= FEW else 2.0


def check_options(
    options: DragOptions, subject: Inversion, spec: DragSpec, start: EditStart | None
) -> None:
    """Refuse what no engine could do with this subject.

    Raises:
        OptionError: naming the option and what it may be.
    """
    config = subject.generator.config
    if spec.resolution != config.resolution:
        raise OptionError(
            f"the drag is drawn on a crop of {spec.resolution} pixels, but the generator makes "
            f"{config.resolution}: scale its points and mask"
        )
    shape = [1, config.num_latents, config.w_dim]
    if start is not None and list(start.latents.shape) != shape:
        raise OptionError(f"an edit goes on from latents {shape}, not {list(start.latents.shape)}")
    check_values(options, config)


def check_values(options: DragOptions, config: GeneratorConfig) -> None:
    """Refuse values that no drag with such a generator could use.

    Raises:
        OptionError: naming the option and what it may be.
    """
    check_blocks(config, options.blocks)
    if not 1 <= options.layers <= config.num_latents:
        raise OptionError(
            f"layers must be from 1 to the generator's {config.num_latents} latent vectors, "
            f"not {options.layers}"
        )
    if options.space not in ("w", "w+"):
        raise OptionError(f"space is w or w+, not {options.space!r}")
    if options.tracker not in TRACKERS:
        raise OptionError(f"tracker is one of {', '.join(TRACKERS)}, not {options.tracker!r}")
    for name in ("learning_rate", "radius", "tracking_radius", "reach"):
        check_positive(name, getattr(options, name))
    check_weight("mask weight", options.mask_weight)
    if options.max_steps < 1:
        raise OptionError(f"max steps must be at least 1, not {options.max_steps}")


def check_blocks(config: GeneratorConfig, blocks: tuple[int, ...] | None) -> None:
    """Refuse blocks that the generator has not; None stands for a default.

    Raises:
        OptionError: naming the block and those that there are.
    """
    sides = config.block_resolutions
    unknown = [block for block in blocks or () if block not in sides]
    if unknown or blocks == ():
        raise OptionError(
            f"the generator has no feature block {unknown[0] if unknown else 'of no side'}; "
            f"choose among {', '.join(map(str, sides))}"
        )


def check_positive(name: str, value: float | None) -> None:
    """Refuse a number that is not positive and finite; None stands for a default.

    Raises:
        OptionError: naming the option.
    """
    if value is not None and not 0 < value < float("inf"):
        raise OptionError(f"{name.replace('_', ' ')} must be a positive number, not {value}")


def check_weight(name: str, value: float) -> None:
    """Refuse a weight that is negative or not finite.

    Raises:
        OptionError: naming the option.
    """
    if not 0 <= value < float("inf"):
        raise OptionError(f"{name} must be zero or positive, not {value}")
