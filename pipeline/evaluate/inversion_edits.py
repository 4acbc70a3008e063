"""What edits do to an inverted face: three expressions and a drag, each measured by landmarks."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from editing.engine import run_edit
from editing.presets import PresetStrength, preset
from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.engines import DEFAULT_ENGINE, engine_for
from pipeline.evaluate.dragged import nearest_landmarks
from pipeline.evaluate.identity import IdentityNetwork, Person, cosine, person_on
from pipeline.evaluate.pairs import REFERENCE_SIDE
from pipeline.evaluate.samples import Points, find_landmarks
from pipeline.evaluate.standard import EDITS as DRAGS
from pipeline.models import Models
from pipeline.session import Json, write_atomically
from pipeline.stored import to_picture

EDITS: Final = ("smile", "raise-brows", "open-mouth", "head right")
"""Presets at strength 1, and one of the standard drags."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Edits:
    """Measures the edits of inversions with networks that are loaded.

    Attributes:
        models: the networks.
        identity: tells persons apart, or None.
        looks: folder of pictures for the eye: the picture, its inversion, each edit.
    """

    models: Models
    identity: IdentityNetwork | None
    looks: Path

    def measure(self, crop: Tensor, inversion: Inversion, look: str) -> Json:
        """Do every edit on an inversion's own rendering.

        Args:
            crop: what was inverted, `[1, 3, R, R]`.
            inversion: of it.
            look: name of the picture to write.

        Returns:
            "identity" of the rendering, and "edits": name -> what was measured. There are none
            where the rendering shows no face.
        """
        person = person_on(crop, find_landmarks(crop, self.models), self.identity)
        render = inversion.render()
        landmarks = find_landmarks(render, self.models)
        if landmarks is None:
            return {"identity": None, "edits": {}}
        rows, pictures = dict[str, Json](), [crop, render]
        for name in EDITS:
            rows[name], image = self._edit(name, person, inversion, landmarks)
            pictures.append(image)
        sheet = to_picture(torch.cat(pictures, dim=3))
        write_atomically(self.looks / look, lambda half: sheet.save(half, "PNG"))
        seen = person_on(render, landmarks, self.identity)
        return {"identity": cosine(person, seen), "edits": rows}

    def _edit(
        self, name: str, person: Person | None, inversion: Inversion, landmarks: Points
    ) -> tuple[Json, Tensor]:
        """Where the landmarks went and who it shows; lengths in pixels of a crop of 512."""
        side = inversion.generator.config.resolution
        asked = [] if name in DRAGS else [PresetStrength(name=name)]
        engine = engine_for(DEFAULT_ENGINE, {}, asked, self.models.directions)
        spec = _spec_of(name, landmarks, side)
        began = time.process_time()
        result = run_edit(engine, inversion, spec)
        spent = time.process_time() - began
        moving = ~spec.anchors
        handles, targets = spec.handles[moving].numpy(), spec.targets[moving].numpy()
        found = find_landmarks(result.image, self.models)
        left = None
        if found is not None:
            chosen = nearest_landmarks(handles, landmarks)
            left = float(np.linalg.norm(found[chosen] - targets, axis=1).mean())
        scale = REFERENCE_SIDE / side
        row: Json = {
            "asked": float(np.linalg.norm(targets - handles, axis=1).mean()) * scale,
            "left": None if left is None else left * scale,
            "identity": cosine(person, person_on(result.image, found, self.identity)),
            "steps": result.steps,
            "cpu_seconds": spent,
        }
        return row, result.image


def _spec_of(name: str, landmarks: Points, side: int) -> DragSpec:
    if name in DRAGS:
        return DRAGS[name].to_spec(landmarks, side)
    return preset(name, 1.0, landmarks, resolution=side)
