"""The page's sliders: one for each preset, whose negative half is the opposite preset."""

from collections.abc import Sequence

from editing.presets import PRESETS, STRONGEST, PresetStrength
from pipeline.session import Json

STEP = 0.05
SIDES = ("left", "right")


def describe_sliders() -> list[Json]:
    """Every slider with its range in strengths; those of one side of the face form a group."""
    return [
        {
            "name": name,
            "title": title_of(name),
            "opposite": _opposite(name),
            "group": "Left and right apart" if set(SIDES) & set(name.split("-")) else None,
            "least": -STRONGEST,
            "most": STRONGEST,
            "step": STEP,
        }
        for name, preset in PRESETS.items()
        if preset.sign > 0  # the others are a slider's negative half
    ]


def on_sliders(presets: Sequence[PresetStrength]) -> dict[str, float]:
    """Strengths by sliders; a preset that is the opposite of one is that one's negative half."""
    strengths: dict[str, float] = {}
    for chosen in presets:
        name, sign = chosen.name, PRESETS[chosen.name].sign
        strength = min(max(chosen.strength, -STRONGEST), STRONGEST)
        same = [n for n, p in PRESETS.items() if p.sign > 0 and p.move is PRESETS[name].move]
        if sign < 0 and same[0] not in {other.name for other in presets}:
            name, strength = same[0], sign * strength
        strengths[name] = strengths.get(name, 0.0) + strength
    return strengths


def title_of(name: str) -> str:
    """A name of the command line as the page writes it."""
    return name.replace("-", " ").capitalize()


def _opposite(name: str) -> str | None:
    """Title of the preset that does the same the other way round."""
    same = [n for n, p in PRESETS.items() if p.sign < 0 and p.move is PRESETS[name].move]
    return title_of(same[0]) if same else None
