"""Networks of the TensorFlow era against the forward pass of what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.weights import foreign_tensorflow
from tests.weights.foreign_nvidia import Generator, tiny
from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.readers import is_foreign, read_generator


@pytest.fixture
def theirs() -> Generator:
    return tiny()


def written(folder: Path, gs: foreign_tensorflow.Network, protocol: int = 4) -> Path:
    path = folder / "stylegan2-car-config-f.pkl"
    other = foreign_tensorflow.Network("G", [])
    foreign_tensorflow.write(path, other, other, gs, protocol=protocol)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_round_trip(theirs: Generator, protocol: int, tmp_path: Path) -> None:
    path = written(tmp_path, foreign_tensorflow.network(theirs), protocol)
    assert is_foreign(path)
    read = read_generator(path)
    assert read.kind == "tensorflow-pickle"
    assert read.notes == ()
    assert read.generator.config.conv_clamp is None
    z = torch.randn(2, 24, generator=torch.Generator().manual_seed(3))
    expected = theirs(z, 0.6)
    image = read.generator(read.generator.map(z, psi=0.6))
    assert (image - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "resnet"}, "'architecture'"),
        ({"resample_kernel": [1, 2, 1]}, "'resample_kernel'"),
        ({"normalize_latents": False}, "'normalize_latents'"),
        ({"blur_filter": [1, 2, 1]}, "'blur_filter'"),
    ],
)
def test_refuses_variants_with_the_way_out(
    theirs: Generator, arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, foreign_tensorflow.network(theirs, **arguments))
    with pytest.raises(UnsupportedWeightsError, match=f"{message}.*convert it with legacy.py"):
        read_generator(path)


def test_refuses_other_variables_with_the_way_out(theirs: Generator, tmp_path: Path) -> None:
    gs = foreign_tensorflow.network(theirs)
    gs.state["variables"].append(("8x8/Conv0_down/weight", np.zeros(3, np.float32)))
    with pytest.raises(UnsupportedWeightsError, match=r"Conv0_down/weight.*convert it with legacy"):
        read_generator(written(tmp_path, gs))


def test_refuses_other_versions_with_the_way_out(tmp_path: Path) -> None:
    path = written(tmp_path, foreign_tensorflow.Network("Gs", []))
    with pytest.raises(UnsupportedWeightsError, match=r"another version.*convert it with legacy"):
        read_generator(path)
    path.write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x00)\x81q\x01}q\x02b.")
    with pytest.raises(UnsupportedWeightsError, match=r"convert it with legacy\.py of NVIDIA's"):
        read_generator(path)


def test_refuses_shapes_that_contradict(theirs: Generator, tmp_path: Path) -> None:
    path = written(tmp_path, foreign_tensorflow.network(theirs, resolution=64))
    with pytest.raises(BrokenWeightsError, match=r"lacks synthesis\.b64"):
        read_generator(path)
    path = written(tmp_path, foreign_tensorflow.network(theirs, fmap_max=16))
    with pytest.raises(BrokenWeightsError, match="configuration asks for"):
        read_generator(path)
    path = written(tmp_path, foreign_tensorflow.network(theirs, resolution=2**80))
    with pytest.raises(BrokenWeightsError, match="no usable img_resolution"):
        read_generator(path)
