"""The standard edits: what is measured on known movements, and a small fixed run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from editing.regions import FaceFrame, region_mask
from pipeline.cli import main
from pipeline.evaluate.arrows import ENLARGED, before_and_after, lay_out
from pipeline.evaluate.dragged import (
    change_of_shape,
    gradient_energy,
    mean_movement,
    region_of_way,
    share_of_way,
)
from pipeline.evaluate.edited import LOOKS
from pipeline.evaluate.ideal import warped
from pipeline.evaluate.matched import match_landmarks
from pipeline.evaluate.samples import Points, find_landmarks, to_rgb
from pipeline.evaluate.stages import STAGES
from pipeline.evaluate.standard import EDITS, INNER, StandardEdit
from pipeline.models import load_models
from weights.identity import VARIABLE

SIDE = 128


@pytest.fixture(scope="module")
def face() -> tuple[torch.Tensor, Points]:
    """A sample of the built-in generator and its landmarks."""
    models = load_models(device="cpu", finder="builtin")
    z = torch.randn(1, 512, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        image = models.generator(models.generator.map(z, psi=0.7)).clamp(-1, 1)
    landmarks = find_landmarks(image, models)
    assert landmarks is not None
    return image, landmarks


def bar(*columns: float, width: float = 8) -> np.ndarray:
    """A picture [64, 64, 3] of soft upright bars, which share the brightness."""
    x = np.arange(64)[None, :, None] + 0.5
    bars = [np.exp(-(((x - column) / width) ** 2)) for column in columns]
    return np.broadcast_to(sum(bars) / len(bars), (64, 64, 3)).astype(np.float32)


def way_of(edit: StandardEdit, landmarks: Points) -> Points:
    """How far each dragged landmark is asked to move, [N, 2] px."""
    spec = edit.to_spec(landmarks, SIDE)
    return (spec.targets - spec.handles).double().numpy()[: len(edit.moves)]


def test_the_share_of_the_way_counts_what_goes_along_it() -> None:
    start, way = np.array([[1.0, 1.0], [5.0, 5.0]]), np.array([[4.0, 0.0], [0.0, 2.0]])
    assert share_of_way(start, start, way) == 0
    assert share_of_way(start, start + way, way) == 1
    assert share_of_way(start, start - way / 2, way) == -0.5
    sideways = np.array([[0.0, 3.0], [7.0, 0.0]])
    assert share_of_way(start, start + way / 2 + sideways, way) == 0.5


def test_a_turned_head_is_no_change_of_shape_but_an_open_mouth_is() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (30, 2))
    turned = points @ [[0.8, 0.05], [-0.1, 1.02]] + [7, -3]
    assert change_of_shape(points, turned) < 1e-9 < mean_movement(points, turned)
    opened = points.copy()
    opened[:5, 1] += 10
    assert 0 < change_of_shape(points, opened) < 10


def test_a_region_is_all_that_is_near_the_ways() -> None:
    region = region_of_way(np.array([[10.0, 20.0]]), np.array([[30.0, 20.0]]), 5.0, 64)
    assert region[20, 10:30].all()
    assert region[15:25, 20].all()
    assert not region[:14].any()
    assert not region[26:].any()
    assert not region[20, 36:].any()
    still = np.array([[32.0, 32.0]])
    assert abs(region_of_way(still, still, 8.0, 64).sum() - np.pi * 64) < 12


def test_a_cross_fade_halves_the_gradient_and_a_movement_keeps_it() -> None:
    region = np.ones((64, 64), np.bool_)
    before = gradient_energy(bar(24, width=3), region)
    moved = gradient_energy(bar(38, width=3), region)
    faded = gradient_energy(bar(24, 38, width=3), region)
    assert moved == pytest.approx(before, rel=1e-6)
    assert faded == pytest.approx(before / 2, rel=1e-2)


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_an_edit_asks_a_face_for_a_small_movement(
    edit: StandardEdit, face: tuple[torch.Tensor, Points]
) -> None:
    _, landmarks = face
    spec = edit.to_spec(landmarks, SIDE)
    apart = FaceFrame.of(landmarks).scale
    length = (spec.targets - spec.handles).norm(dim=1)[: len(edit.moves)] / apart
    assert spec.anchors.tolist() == [False] * len(edit.moves) + [True] * len(edit.held)
    assert 0.03 < length.min() <= length.max() < 0.2
    assert not set(edit.not_dragged) & set(edit.dragged)
    assert set(edit.other_parts) <= INNER - set(edit.dragged)
    assert edit.whole == (spec.mask is None)
    if spec.mask is not None:
        kept = region_mask(landmarks, edit.without, resolution=SIDE)
        assert not (spec.mask * kept).any()
        assert spec.mask.any()


def test_a_rolled_face_is_dragged_along_its_own_axes() -> None:
    rng = np.random.default_rng(1)
    landmarks = rng.uniform(30, 90, (68, 2))
    landmarks[36:42], landmarks[42:48] = [48, 50], [80, 50]
    rolled = (landmarks - 64) @ [[0, 1], [-1, 0]] + 64
    ways = [EDITS["nose tip up"].to_spec(at, SIDE) for at in (landmarks, rolled)]
    (x, y), (u, v) = ((spec.targets - spec.handles)[0].tolist() for spec in ways)
    assert (x, y) == pytest.approx((0, -0.08 * 32), abs=1e-4)
    assert (u, v) == pytest.approx((-y, x), abs=1e-4)


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_a_warp_moves_the_dragged_landmarks_and_no_others(
    edit: StandardEdit, face: tuple[torch.Tensor, Points]
) -> None:
    _, landmarks = face
    way = way_of(edit, landmarks)
    y, x = torch.meshgrid(*[torch.arange(SIDE) + 0.5] * 2, indexing="ij")
    places = torch.stack((x, y))[None].double()
    read = warped(places, landmarks, edit, way)[0].permute(1, 2, 0).numpy()
    for landmark, step in zip(edit.dragged, way, strict=True):
        column, row = np.floor(landmarks[landmark] + step).astype(int)
        came = np.array([column, row]) + 0.5 - read[row, column]
        assert np.linalg.norm(came - step) < 0.25 * np.linalg.norm(step)
    if not edit.whole:
        far = [k for k in edit.other_parts if min(abs(k - d) for d in edit.dragged) > 1]
        columns, rows = np.floor(landmarks[far]).astype(int).T
        came = np.stack((columns, rows), axis=-1) + 0.5 - read[rows, columns]
        assert np.linalg.norm(came, axis=-1).max() < 0.35 * np.linalg.norm(way, axis=-1).max()


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_matching_reads_an_exact_warp(
    edit: StandardEdit, face: tuple[torch.Tensor, Points]
) -> None:
    image, landmarks = face
    way = way_of(edit, landmarks)
    found = match_landmarks(image, warped(image, landmarks, edit, way), landmarks)
    assert 0.7 < share_of_way(landmarks[edit.dragged], found[edit.dragged], way) < 1.1
    if not edit.whole:
        beside = mean_movement(landmarks[edit.other_parts], found[edit.other_parts])
        assert beside < 0.06 * np.linalg.norm(way, axis=1).mean()


def test_matching_a_picture_with_itself_moves_nothing(face: tuple[torch.Tensor, Points]) -> None:
    image, landmarks = face
    assert np.abs(match_landmarks(image, image, landmarks) - landmarks).max() < 0.01


def test_a_sheet_shows_arrows_on_the_first_picture(face: tuple[torch.Tensor, Points]) -> None:
    image, landmarks = face
    cell = before_and_after(image, image, EDITS["chin down"].to_spec(landmarks, SIDE))
    assert cell.shape == (ENLARGED, 2 * ENLARGED, 3)
    drawn = (cell[:, :ENLARGED] != cell[:, ENLARGED:]).any(-1)
    x, y = landmarks[8] * ENLARGED / SIDE
    rows, columns = np.nonzero(drawn)
    assert len(rows) > 5
    assert np.abs(columns - x).max() < 10
    assert y - 4 < rows.min() < rows.max() < y + 20
    assert lay_out([cell] * 3, 2).shape == (2 * ENLARGED, 4 * ENLARGED, 3)


@pytest.mark.slow
def test_a_portrait_is_edited_before_and_after_tuning(
    face: tuple[torch.Tensor, Points], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "faces"
    folder.mkdir()
    picture = Image.fromarray((to_rgb(face[0]) * 255).round().astype("uint8"))
    picture.resize((256, 256)).save(folder / "face.jpg", quality=95)
    (folder / "index.json").write_text(json.dumps([{"name": "face", "split": "val"}]), "utf-8")
    out = tmp_path / "out"
    command = ["evaluate", "edits", "--set", str(folder), "--quality", "fast", "-o", str(out)]
    assert main([*command, "--device", "cpu", "--finder", "builtin"]) == 0
    record = json.loads((out / "edits-faces.json").read_text("utf-8"))
    summary, *tables = (table["rows"] for table in record["tables"])
    assert [row["generator"] for row in summary] == list(STAGES)
    assert [[row["edit"] for row in rows] for rows in tables] == [list(EDITS)] * 3
    *tables, exact = tables
    assert all(0.1 < row["by landmarks"] < 1.3 for row in exact)
    assert all(0.6 < row["by matching"] < 1.2 for row in exact)
    for rows in tables:
        tracked, found = (np.array([row[k] for row in rows]) for k in ("tracked", "by landmarks"))
        assert 0.7 < tracked.mean() < 1.1
        assert np.abs(found - tracked).mean() < 0.5
        assert all(0.5 < row["sharpness"] < 3 for row in rows)
        assert all(row["identity"] is None and row["faces lost"] == 0 for row in rows)
        heads = {row["edit"] for row in rows if row["leak"] is None}
        assert heads == {name for name in EDITS if name.startswith("head")}
    with Image.open(out / LOOKS / "face-default.png") as sheet:
        assert sheet.size == (8 * ENLARGED, 6 * ENLARGED)
    before = (out / "edits-faces.jsonl").read_bytes()
    assert main([*command, "--device", "cpu", "--finder", "builtin"]) == 0
    assert (out / "edits-faces.jsonl").read_bytes() == before
