"""Measuring inversions: real networks, pictures that the generator draws itself."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.cli import main
from pipeline.errors import EvaluationError
from pipeline.evaluate.inversion import (
    LOOKS,
    UNTUNED,
    InversionTask,
    evaluate_inversion,
    options_of,
)
from pipeline.evaluate.inversion_edits import EDITS
from pipeline.evaluate.inversion_tables import each_picture, edit_rows, paired_rows
from pipeline.evaluate.memory import peak_bytes, reset_peak
from pipeline.evaluate.pictures import PORTRAITS_VARIABLE, PictureSet, find_pictures, find_set
from pipeline.evaluate.samples import to_rgb
from pipeline.evaluate.setting import Setting
from pipeline.session import Json
from weights.store import load_generator


def draw(seed: int) -> Tensor:
    generator = load_generator()
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return generator(generator.map(z, psi=0.7)).clamp(-1, 1)


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two aligned portraits to measure, one to leave out."""
    folder = tmp_path_factory.mktemp("portraits")
    for seed in range(3):
        rgb = (to_rgb(draw(seed)) * 255).round().astype("uint8")
        Image.fromarray(rgb).resize((256, 256)).save(folder / f"face-{seed}.jpg", quality=95)
    splits = ("val", "train", "val")
    index = [{"name": f"face-{k}", "split": split} for k, split in enumerate(splits)]
    (folder / "index.json").write_text(json.dumps(index), "utf-8")
    return folder


def measured(folder: Path) -> list[str]:
    lines = (folder / "inversion-faces.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["key"] for line in lines[1:]]


def test_a_picture_is_measured_once_and_laid_out(portraits: Path, tmp_path: Path) -> None:
    setting = Setting(folder=tmp_path, command="photodrag evaluate inversion")

    def run() -> list[list[dict[str, object]]]:
        chosen = PictureSet(name="faces", folder=portraits, count=1)
        evaluation = evaluate_inversion(setting, chosen, qualities=["fast"])
        return [[dict(row) for row in table.rows] for table in evaluation.tables]

    tables = run()
    before = measured(tmp_path)
    assert [key.split("/")[:2] for key in before] == [["face-0", UNTUNED], ["face-0", "fast"]]
    assert run() == tables
    assert measured(tmp_path) == before
    cost, edits, differences, perceptual, *_ = tables
    assert [row["quality"] for row in cost] == [UNTUNED, "fast"]
    assert float(str(cost[1]["perceptual"])) < float(str(cost[0]["perceptual"]))
    assert float(str(cost[1]["PSNR, dB"])) > float(str(cost[0]["PSNR, dB"]))
    assert edits[0]["kept"] == 1
    assert 0 < float(str(edits[1]["kept"])) < 1
    assert float(str(edits[1]["all edits"])) < 0.9
    assert [row["quality"] for row in differences] == [UNTUNED]
    assert [row["picture"] for row in perceptual] == ["face-0"]
    with Image.open(tmp_path / LOOKS / "face-0-fast.png") as look:
        assert look.size == ((2 + len(EDITS)) * 128, 128)


def record(left: float | None, identity: float) -> Json:
    """A measurement of one edit of 10 px, with nothing to warn of."""
    return {
        "perceptual": 0.0, "distance": 0.0, "forgetting": 0.0, "warned": False,
        "edits": {
            "turn": {"asked": 10.0, "left": left, "identity": identity, "cpu_seconds": 1.0}
        },
    }  # fmt: skip


def test_differences_are_of_pairs_with_their_standard_error() -> None:
    """Differences of -0.1, -0.3 and one unknown: mean -0.2, error 0.1 * sqrt 2 / sqrt 2."""
    measured = {
        "ours": [record(3.0, 0.9), record(4.0, 0.7), record(None, 0.8)],
        "theirs": [record(4.0, 0.5), record(7.0, 0.5), record(5.0, 0.5)],
    }
    (row,) = paired_rows(measured, ["turn"])
    assert row["all edits"] == row["turn"] == "-0.200 +- 0.100"
    assert row["t"] == pytest.approx(-2)
    assert row["pictures"] == 2
    assert row["identity after"] == "0.300 +- 0.058"
    ours, theirs = edit_rows(measured, ["turn"])
    assert (ours["faces lost"], theirs["faces lost"]) == (1, 0)
    assert ours["all edits"] == "0.350 +- 0.050"


def test_a_picture_without_the_yardstick_has_an_empty_cell() -> None:
    rows = each_picture(
        {
            "a": {"ours": record(1.0, 0.9), "theirs": record(2.0, 0.9)},
            "b": {"ours": record(1.0, 0)},
        },
        ["ours", "theirs"],
    )[0].rows
    assert [dict(row) for row in rows] == [
        {"picture": "a", "ours": 0.0, "theirs": 0.0},
        {"picture": "b", "ours": 0.0, "theirs": None},
    ]


def test_portraits_are_those_that_were_held_out(portraits: Path) -> None:
    assert [picture.name for picture in find_pictures(portraits, None)] == ["face-0", "face-2"]
    assert [picture.name for picture in find_pictures(portraits, 1)] == ["face-0"]
    assert len(find_pictures(portraits, 9)) == 2
    assert all(picture.aligned for picture in find_pictures(portraits, None))


def test_other_options_are_other_measurements(portraits: Path) -> None:
    (picture,) = find_pictures(portraits, 1)
    keys = {InversionTask(picture=picture, quality=q).key for q in (UNTUNED, "fast", "best")}
    assert len(keys) == 3
    assert options_of(UNTUNED).tuning_steps == 0


@pytest.mark.parametrize(
    ("contents", "message"),
    [("{", "is no index"), ('[{"name": 1}]', "is no index"), ("[]", "no pic")],
)
def test_a_broken_index_is_refused(tmp_path: Path, contents: str, message: str) -> None:
    (tmp_path / "index.json").write_text(contents, "utf-8")
    with pytest.raises(EvaluationError, match=message):
        find_pictures(tmp_path, None)


def test_sets_have_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PORTRAITS_VARIABLE, raising=False)
    with pytest.raises(EvaluationError, match=f"{PORTRAITS_VARIABLE} does not name"):
        find_set("portraits")
    monkeypatch.setenv(PORTRAITS_VARIABLE, str(tmp_path))
    assert find_set("portraits", 3) == PictureSet(name="portraits", folder=tmp_path, count=3)
    with pytest.raises(EvaluationError, match="is no folder"):
        find_set(str(tmp_path / "absent"))


def test_a_folder_without_faces_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (200, 200), "gray").save(photos / "plain.png")
    command = ["evaluate", "inversion", "--set", str(photos), "--quality", "fast"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 1
    assert "no file in" in capsys.readouterr().err


def test_the_peak_can_be_measured_anew() -> None:
    reset_peak()
    first = peak_bytes()
    if first is None:
        pytest.skip("this system does not tell the peak")
    held = torch.ones(40_000_000)
    grown = peak_bytes()
    assert grown is not None
    assert grown - first > 0.5 * held.numel() * 4
