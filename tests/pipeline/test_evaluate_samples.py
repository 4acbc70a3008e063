"""Measuring samples: real networks, and portraits that the generator draws itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.cli import main
from pipeline.commands.lists import parse_psis
from pipeline.evaluate.drawn import DrawnMeasure, DrawnTask, is_sane
from pipeline.evaluate.samples import Points, find_landmarks, to_rgb
from pipeline.evaluate.setting import Setting
from weights.store import load_generator

SPLITS = ("train", "train", "train", "train", "val", "val", "val")


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples as portraits: the first is gray."""
    folder = tmp_path_factory.mktemp("portraits")
    generator = load_generator()
    z = torch.randn(len(SPLITS), 512, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        images = generator(generator.map(z, 0.7))
    for k, image in enumerate(images.split(1)):
        rgb = (to_rgb(image) * 255).round().astype("uint8")
        picture = Image.fromarray(rgb).convert("RGB" if k else "L")
        picture.resize((256, 256)).save(folder / f"{k}.jpg", quality=95)
    index = [
        {
            "name": str(k),
            "split": split,
            "kind": "colour" if k else "gray",
            "landmarks68": np.zeros((68, 2)).tolist(),
        }
        for k, split in enumerate(SPLITS)
    ]
    (folder / "index.json").write_text(json.dumps(index), "utf-8")
    return folder


@pytest.fixture(scope="module")
def measure(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> DrawnMeasure:
    setting = Setting(
        folder=tmp_path_factory.mktemp("out"), command="", device="cpu", finder="builtin"
    )
    return DrawnMeasure.begin(setting, portraits)


@pytest.fixture(scope="module")
def landmarks(measure: DrawnMeasure) -> Points:
    found = find_landmarks(measure.picture(DrawnTask(kind="val", index=0)), measure.models)
    assert found is not None
    return found


def test_samples_are_laid_out_beside_portraits(portraits: Path, tmp_path: Path) -> None:
    command = ["evaluate", "samples", "--set", str(portraits), "--psi", "0.5", "--count", "8"]
    command += ["--device", "cpu", "--finder", "builtin", "-o", str(tmp_path)]
    assert main(command) == 0
    record = json.loads((tmp_path / "samples.json").read_text("utf-8"))
    (table,) = record["tables"]
    rows = {row["pictures"]: row for row in table["rows"]}
    drawn, held_out, training = (
        rows[name] for name in ("samples, psi 0.5", "held-out", "training, as many")
    )
    assert (drawn["number"], held_out["number"], training["number"]) == (8, 3, 4)
    assert drawn["faces"] == drawn["sane"] == 1
    assert drawn["variety"] > 0.05
    assert held_out["nearest training"] > 0.05
    assert training["faces"] is None
    assert held_out["Frechet, held-out"] == pytest.approx(0, abs=1e-6)
    assert training["training"] == pytest.approx(0, abs=1e-6)
    assert held_out["training"] == pytest.approx(training["Frechet, held-out"])
    assert training["training colour"] > 1e-3
    with Image.open(tmp_path / "samples-psi-0.5.png") as sheet:
        assert sheet.size == (8 * 128, 128)
    lines = (tmp_path / "samples.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 1 + 8 + len(SPLITS)


def test_a_copy_of_a_training_portrait_is_found_out(measure: DrawnMeasure) -> None:
    for k in range(4):
        copy = measure.picture(DrawnTask(kind="train", index=k)) + 0.01
        assert measure.nearest(copy) < 0.01
    assert measure.nearest(measure.picture(DrawnTask(kind="val", index=0))) > 0.05


def test_a_sample_depends_on_its_number_and_psi(measure: DrawnMeasure) -> None:
    def draw(index: int, psi: float) -> torch.Tensor:
        return measure.picture(DrawnTask(kind="sample", index=index, psi=psi))

    torch.testing.assert_close(draw(1, 0.7), draw(1, 0.7))
    assert (draw(1, 0.7) - draw(2, 0.7)).abs().mean() > 1e-2
    torch.testing.assert_close(draw(1, 0.0), draw(2, 0.0))


def test_landmarks_of_a_face_are_sane(landmarks: Points) -> None:
    assert is_sane(landmarks, 128)


@pytest.mark.parametrize("how", ["mirrored", "upside down", "small", "mouth on the brow", "cut"])
def test_other_landmarks_are_not(landmarks: Points, how: str) -> None:
    moved = landmarks.copy()
    if how == "mirrored":
        moved[:, 0] = 128 - moved[:, 0]
    elif how == "upside down":
        moved = 128 - moved
    elif how == "small":
        moved = 64 + (moved - 64) / 3
    elif how == "cut":
        moved += [0, 70]
    else:
        moved[48:] -= [0, 60]
    assert not is_sane(moved, 128)


def test_truncations_are_numbers() -> None:
    assert parse_psis("0.7, 1") == (0.7, 1.0)
    for text in ("", "a", "-1", "nan", "0.7,9"):
        with pytest.raises(Exception, match="no numbers"):
            parse_psis(text)
