"""An encoder from a generator's own samples: small networks, the whole command."""

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch

from pipeline.cli import main
from pipeline.commands.encoder import encoder_path
from weights.perceptual import BuiltinPerceptual
from weights.store import load_encoder, load_generator
from weights.training.encoder_of import EncoderOptions, EncoderStep, train_encoder


@pytest.fixture
def generator_file(tiny_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_file, tmp_path / "mine.safetensors"))


def test_the_encoder_lies_beside_its_generator_and_is_found(
    generator_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTODRAG_LPIPS_TRUNK", "none")
    command = ["weights", "train-encoder", str(generator_file), "--images", "4", "--batch", "2"]
    assert load_encoder(generator_file) is None
    assert main([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["samples"] == 4
    encoder = load_encoder(generator_file)
    assert encoder is not None
    assert encoder(torch.zeros(1, 3, 32, 32)).shape == (1, 8, 32)
    assert main(command) == 1
    assert "say --overwrite to replace it" in capsys.readouterr().err


def test_it_learns_what_the_samples_are(generator_file: Path) -> None:
    torch.manual_seed(3)
    perceptual = BuiltinPerceptual().requires_grad_(False)
    options = EncoderOptions(images=100, batch=4, learning_rate=3e-3)
    path = encoder_path(generator_file)
    steps = list(train_encoder(load_generator(generator_file), perceptual, path, options))
    first, last = steps[:5], steps[-5:]

    def mean(part: list[EncoderStep]) -> float:
        return sum(step.picture for step in part) / len(part)

    assert mean(last) < 0.9 * mean(first)


def test_an_interrupted_run_goes_on(generator_file: Path) -> None:
    torch.manual_seed(3)
    perceptual = BuiltinPerceptual().requires_grad_(False)
    generator, path = load_generator(generator_file), encoder_path(generator_file)
    options = EncoderOptions(images=12, batch=2, checkpoint_every=2)
    whole = [s.picture for s in train_encoder(generator, perceptual, path, options)]
    path.unlink()
    for _ in islice(train_encoder(generator, perceptual, path, options), 4):
        pass
    assert not path.exists()
    rest = list(train_encoder(generator, perceptual, path, options))
    assert [step.seen for step in rest] == [10, 12] or [step.seen for step in rest] == [8, 10, 12]
    assert [step.picture for step in rest] == pytest.approx(whole[-len(rest) :], rel=1e-4)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, generator_file.name]
