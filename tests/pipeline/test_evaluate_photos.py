"""Drags of inverted photos: a small fixed run, and whom the identity network takes for whom."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.cli import main
from pipeline.evaluate.identity import load_identity_network
from pipeline.evaluate.stages import STAGES
from pipeline.faces import find_faces
from pipeline.photo import read_photo
from weights.identity import VARIABLE

CPU = torch.device("cpu")


def test_a_photo_is_dragged_before_and_after_tuning(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "face.png").write_bytes(portrait.read_bytes())
    (photos / "notes.txt").write_text("no photo")
    Image.new("RGB", (200, 200), (90, 120, 60)).save(photos / "flat.png")
    command = ["evaluate", "photos", "--dir", str(photos), "--quality", "fast"]
    command += ["--presets", "open-mouth", "--device", "cpu", "--finder", "builtin"]
    assert main([*command, "-o", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "photos.json").read_text("utf-8"))
    inverted, dragged = (table["rows"] for table in record["tables"])
    assert record["photos"] == 1
    assert [row["stage"] for row in inverted] == list(STAGES)
    assert inverted[1]["PSNR, dB"] > inverted[0]["PSNR, dB"]
    assert [row["generator"] for row in dragged] == list(STAGES)
    for row in dragged:
        assert row["of no edit"] < 0.9
        assert row["identity"] is None
        assert row["fixed change"] < 20
    assert dragged[1]["photo outside"] == 0
    page = " ".join((tmp_path / "photos.md").read_text("utf-8").split())
    assert "Skipped: 2 files" in page
    assert "no network (not measured)" in page


@pytest.mark.parametrize(("made", "message"), [(False, "is no folder"), (True, "shows a face")])
def test_a_folder_without_faces_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made: bool, message: str
) -> None:
    photos = tmp_path / "photos"
    if made:
        photos.mkdir()
        Image.new("RGB", (200, 200), (90, 120, 60)).save(photos / "flat.png")
    command = ["evaluate", "photos", "--dir", str(photos), "--device", "cpu"]
    assert main([*command, "-o", str(tmp_path / "out"), "--finder", "builtin"]) == 1
    assert message in capsys.readouterr().err


def test_without_a_file_nobody_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert load_identity_network(None, CPU) is None


def test_the_identity_network_tells_persons_apart(shared: Path) -> None:
    file = shared / "data" / "models" / "mobilefacenet_identity.ckpt"
    network = load_identity_network(file, CPU)
    assert network is not None
    vectors: list[np.ndarray] = []
    for name in ("portrait_frontal_man.jpg", "derived/roll35.jpg", "portrait_slight_tilt.jpg"):
        rgb = read_photo(shared / "data" / "photos" / name).rgb()
        faces = find_faces(rgb, finder="builtin")
        face = max(faces, key=lambda face: face.box[3] - face.box[1])
        vectors.append(network.describe(rgb, face.landmarks))
    assert vectors[0] @ vectors[1] > 0.9
    assert abs(vectors[0] @ vectors[2]) < 0.3
