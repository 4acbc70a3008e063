"""Small fixed runs of `photodrag evaluate landmarks` and `ablate` on the built-in generator."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from editing.drag import DragEngine
from pipeline.cli import main
from pipeline.evaluate.ablate import PARTS, variants
from pipeline.evaluate.pairs import PairTask, fixed_change, pack, unpack
from pipeline.evaluate.repeatability import repeatability
from pipeline.evaluate.samples import find_landmarks, random_source, sample_latents, to_rgb
from pipeline.models import Models, load_models

CPU = ("--device", "cpu", "--finder", "builtin")


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models(device="cpu", finder="builtin")


def rows_of(path: Path) -> list[dict[str, Any]]:
    record = json.loads(path.read_text("utf-8"))
    return [row for table in record["tables"] for row in table["rows"]]


def test_a_drag_brings_landmarks_to_those_of_another_face(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "landmarks", "--points", "1,mask", "--engines", "default"]
    command += ["--pairs", "1", "-o", str(tmp_path), *CPU]
    assert main(command) == 0
    page = (tmp_path / "landmarks.md").read_text("utf-8")
    assert capsys.readouterr().out == page + "\n"
    assert "photodrag evaluate landmarks --points 1,mask --engines default --pairs 1" in page
    untouched, dragged, _, masked, floor = rows_of(tmp_path / "landmarks.json")
    # Which faces a seed draws is part of the protocol.
    assert untouched["mean distance"] == pytest.approx(26.3, abs=1.5)
    assert dragged["mean distance"] < untouched["mean distance"] / 3
    assert dragged["steps"] > 0
    assert dragged["fixed change"] is None
    assert masked["fixed change"] < 10
    assert 0 < floor["1"] < 3

    measured = (tmp_path / "landmarks.jsonl").read_bytes()
    (tmp_path / "landmarks.md").unlink()
    assert main(command) == 0
    assert (tmp_path / "landmarks.jsonl").read_bytes() == measured
    assert (tmp_path / "landmarks.md").read_text("utf-8") == page


def test_unknown_names_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for flags in (["--points", "7"], ["--engines", "fast"], ["--pairs", "0"]):
        with pytest.raises(SystemExit, match="2"):
            main(["evaluate", "landmarks", *flags])
        assert "error: argument" in capsys.readouterr().err


def test_a_record_depends_on_the_engine_s_options() -> None:
    engine = DragEngine()
    task = PairTask(pair=3, points="5", engine=engine)
    assert task.key == PairTask(pair=3, points="5", engine=DragEngine()).key
    assert task.key != PairTask(pair=3, points="5", engine=replace(engine, max_steps=7)).key
    assert PairTask(pair=3).key == "3"


def test_a_variant_differs_in_one_option() -> None:
    made = variants(128)
    assert {variant.part for variant in made} == set(PARTS)
    for variant in made:
        fields = vars(DragEngine())
        differing = [name for name in fields if fields[name] != getattr(variant.engine, name)]
        assert len(differing) <= 1, variant


def test_the_change_of_what_is_fixed_is_in_levels() -> None:
    before = torch.zeros(1, 3, 8, 8)
    after = before.clone()
    after[..., :4] = 1.0
    after[..., 4:] = 2 / 255
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    assert fixed_change(before, after, mask) == pytest.approx(1.0)
    assert fixed_change(before, after, None) is None


def test_features_are_kept_in_half_precision() -> None:
    features = torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    assert unpack(pack(features)).tolist() == features[0].half().double().tolist()


def test_the_finder_agrees_with_itself_within_a_pixel(models: Models) -> None:
    latents = sample_latents(models.generator, random_source(0, 0), 0.7)
    with torch.no_grad():
        image = models.generator(latents)
    landmarks = find_landmarks(image, models)
    assert landmarks is not None
    away = repeatability(to_rgb(image), landmarks, np.random.default_rng(0), "builtin")
    assert away.shape == (68,)
    assert 0 < away.mean() < 1


def test_a_pair_s_randomness_is_its_own() -> None:
    draws = [torch.randn(3, generator=random_source(5, index)) for index in (0, 1, 0)]
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.slow
def test_the_default_engine_is_set_against_the_reference(tmp_path: Path) -> None:
    command = ["evaluate", "landmarks", "--points", "1,5:1", "--engines", "default,reference:1"]
    assert main([*command, "--pairs", "2", "-o", str(tmp_path), *CPU]) == 0
    record = json.loads((tmp_path / "landmarks.json").read_text("utf-8"))
    distances, against, floor = (table["rows"] for table in record["tables"])
    assert [(row["points"], row["engine"], row["pairs"]) for row in distances] == [
        ("1", "no edit", 2),
        ("1", "default", 2),
        ("1", "reference", 1),
        ("5", "no edit", 1),
        ("5", "default", 1),
        ("5", "reference", 1),
    ]
    assert [row["pairs"] for row in against] == [1, 1]
    ratio = distances[4]["mean distance"] / distances[5]["mean distance"]
    assert against[1]["mean distance"] == pytest.approx(ratio)
    assert len(floor) == 1


@pytest.mark.slow
def test_an_ablation_has_a_row_for_every_variant(tmp_path: Path) -> None:
    command = ["evaluate", "ablate", "--parts", "tracker", "--pairs", "1"]
    assert main([*command, "-o", str(tmp_path), *CPU]) == 0
    record = json.loads((tmp_path / "ablate.json").read_text("utf-8"))
    first, *others = record["tables"][0]["rows"]
    assert first["part"] == "default"
    assert [(row["part"], row["value"]) for row in others[:2]] == [
        ("tracker", "none"),
        ("tracker", "nearest"),
    ]
    assert all(row["mean distance"] is not None for row in (first, *others))
