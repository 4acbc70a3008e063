"""Groups of portraits by what they show, on faces drawn by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.evaluate.groups import Look, find_looks, group_looks, look_of
from pipeline.evaluate.inversion_tables import group_rows
from pipeline.evaluate.pictures import find_pictures
from pipeline.session import Json

SIDE = 256


def face(*, mouth: float = 0.8, gap: float = 0.02, nose: float = 0.0) -> NDArray[np.float64]:
    """Landmarks `[68, 2]` of a face 64 px between the eyes; lengths in eyes apart."""
    points = np.zeros((68, 2))
    turn = np.linspace(0, np.pi, 17)
    points[:17] = np.stack([-1.1 * np.cos(turn), 1.6 * np.sin(turn)], 1)
    points[17:27] = np.stack([np.linspace(-0.8, 0.8, 10), np.full(10, -0.3)], 1)
    points[27:36, 1] = np.linspace(0, 0.7, 9)
    points[30, 0] = nose
    round_ = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    for first, x in ((36, -0.5), (42, 0.5)):
        points[first : first + 6] = np.stack([x + 0.2 * np.cos(round_), 0.06 * np.sin(round_)], 1)
    points[48:, 1] = 1.1
    points[48, 0], points[54, 0] = -mouth / 2, mouth / 2
    points[[65, 66, 67], 1] += gap
    return points * 64 + [128, 110]


def look(landmarks: NDArray[np.float64], level: int = 120, kind: str = "colour") -> Look:
    return look_of("one", np.full((SIDE, SIDE, 3), level, np.uint8), kind, landmarks)


def test_a_portrait_is_described_by_its_landmarks() -> None:
    still = look(face())
    assert not (still.smiling or still.open_mouth or still.turned)
    assert look(face(mouth=1.05)).smiling
    assert look(face(gap=0.2)).open_mouth
    assert look(face(nose=0.15)).turned
    assert look(face(nose=-0.15)).turned


def test_luminance_is_that_of_the_face_alone() -> None:
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8)
    rgb[95:210, 60:200] = (0, 128, 0)
    assert look_of("one", rgb, "gray", face()).luminance == pytest.approx(0.7152 * 128 / 255)


def test_thirds_of_luminance_are_of_the_colour_portraits() -> None:
    looks = [
        look_of(
            str(k),
            np.full((SIDE, SIDE, 3), 20 * k, np.uint8),
            "colour" if k < 9 else "gray",
            face(),
        )
        for k in range(12)
    ]
    groups = group_looks(looks)
    thirds = [
        groups[f"colour, face of the {name} third"] for name in ("darkest", "middle", "lightest")
    ]
    assert thirds == [{"0", "1", "2"}, {"3", "4", "5"}, {"6", "7", "8"}]
    assert groups["gray or tinted"] == {"9", "10", "11"}
    assert (
        groups["all"] == groups["frontal"] == groups["lips closed"] == {str(k) for k in range(12)}
    )
    assert "lips apart" not in groups
    assert group_looks([]) == {}


def test_looks_are_found_by_the_index(tmp_path: Path) -> None:
    Image.new("RGB", (128, 128), (50, 50, 50)).save(tmp_path / "a.jpg")
    record = {"name": "a", "split": "val", "kind": "gray", "landmarks68": face(gap=0.2).tolist()}
    (tmp_path / "index.json").write_text(json.dumps([record]), "utf-8")
    (found,) = find_looks(tmp_path, find_pictures(tmp_path, None))
    assert (found.name, found.colour, found.open_mouth) == ("a", False, True)
    assert found.luminance == pytest.approx(50 / 255, abs=0.01)
    (tmp_path / "index.json").write_text(json.dumps([{"name": "a", "split": "val"}]), "utf-8")
    assert find_looks(tmp_path, find_pictures(tmp_path, None)) == []


def test_figures_of_a_group_are_means_over_its_pictures() -> None:
    def record(distance: float, left: float) -> Json:
        edit = {"asked": 10.0, "left": left}
        return {"perceptual": distance, "psnr": 20.0, "identity": None, "edits": {"turn": edit}}

    rows = {"a": record(0.1, 2.0), "b": record(0.3, 4.0), "c": record(0.8, 9.0)}
    first, second = group_rows(rows, {"all": {"a", "b", "c"}, "some": {"a", "b"}}, ["turn"])
    assert (first["pictures"], second["pictures"]) == (3, 2)
    assert second["perceptual"] == pytest.approx(0.2)
    assert second["left of the way"] == "0.300 +- 0.100"
    assert second["identity"] is None
