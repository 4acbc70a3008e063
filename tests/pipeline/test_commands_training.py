"""`photodrag weights train` from pictures to a generator that the tool can use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from weights.store import load_generator
from weights.training.adversarial import CHECKPOINT, RESULT

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    rng = np.random.default_rng(0)
    for k in range(22):
        pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(place / f"{k:02d}.png")
    return place


def test_a_run_and_going_on_with_it(pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    argv = ["weights", "train", "--data", str(pictures), "-o", str(run), "--resolution", "32"]
    argv += ["--batch", "4", "--report-every", "4", "--device", "cpu"]
    assert main([*argv, "--images", "4"]) == 0
    assert "4 pictures: losses" in capsys.readouterr().err
    assert main([*argv, "--images", "8"]) == 0
    told = capsys.readouterr()
    assert "8 pictures" in told.err
    assert "\n4 pictures" not in told.err
    assert str(run / RESULT) in told.out
    assert load_generator(run / RESULT).config.resolution == 32


def test_wrong_resolutions(pictures: Path, tmp_path: Path, capsys: Capture) -> None:
    argv = ["weights", "train", "--data", str(pictures), "-o", str(tmp_path / "run")]
    assert main([*argv, "--resolution", "100"]) == 1
    assert "power of two from 32 to 1024" in capsys.readouterr().err
    assert main([*argv, "--start", "portrait-128", "--resolution", "64"]) == 1
    assert "draws 128 pixels" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_share_a_batch(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    argv = ["-m", "pipeline.cli", "weights", "train", "--data", str(pictures), "-o", str(run)]
    argv += ["--resolution", "32", "--batch", "8", "--images", "16", "--report-every", "8"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command, *argv, "--device", "cpu"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (run / CHECKPOINT).is_file()
    assert load_generator(run / RESULT).config.resolution == 32
