"""NVIDIA's pickles and PTI's modules against their own forward pass."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from tests.weights import foreign_nvidia
from tests.weights.foreign_nvidia import snapshot, tiny, write_module, write_pickle
from weights.errors import BrokenWeightsError, UnsupportedWeightsError, WeightsError
from weights.readers import is_foreign, read_generator
from weights.stylegan2 import Generator, GeneratorConfig

ROOT = Path(__file__).parents[2]


def assert_same(theirs: foreign_nvidia.Generator, ours: Generator) -> None:
    z = torch.randn(2, theirs.z_dim, generator=torch.Generator().manual_seed(3))
    expected = theirs(z, 0.6)
    image = ours(ours.map(z, psi=0.6))
    assert image.shape == expected.shape
    assert (image - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())


def layer_of(generator: foreign_nvidia.Generator, name: str) -> foreign_nvidia.SynthesisLayer:
    return cast(foreign_nvidia.SynthesisLayer, generator.get_submodule(name))


def imported(folder: Path, generator: foreign_nvidia.Generator, protocol: int = 4) -> Generator:
    path = folder / "network-snapshot-000200.pkl"
    write_pickle(path, snapshot(generator), protocol)
    assert is_foreign(path)
    read = read_generator(path)
    assert read.kind == "nvidia-pickle"
    return read.generator


@pytest.mark.parametrize("protocol", range(6))
def test_round_trip_of_each_protocol(protocol: int, tmp_path: Path) -> None:
    theirs = tiny()
    ours = imported(tmp_path, theirs, protocol)
    assert ours.config == GeneratorConfig(
        resolution=32, channel_base=256, channel_max=24, w_dim=32, z_dim=24, mapping_layers=3,
        conv_clamp=None,
    )  # fmt: skip
    assert not any(p.requires_grad for p in ours.parameters())
    assert not ours.training
    assert_same(theirs, ours)


@pytest.mark.parametrize(
    ("arguments", "clamp", "size"),
    [
        ({"nested": False, "num_fp16_res": 4, "conv_clamp": 0.6}, 0.6, (32, 32)),
        ({"nested": True, "conv_clamp": 256}, 256.0, (32, 32)),
        ({"square": False}, None, (32, 16)),
        ({"img_resolution": 64, "num_layers": 2}, None, (64, 64)),
    ],
    ids=["stylegan3", "ada", "human", "auto"],
)
def test_round_trip_of_each_configuration(
    arguments: dict[str, Any], clamp: float | None, size: tuple[int, int], tmp_path: Path
) -> None:
    theirs = tiny(**arguments)
    ours = imported(tmp_path, theirs)
    assert ours.config.conv_clamp == clamp
    assert (ours.config.resolution, ours.config.width) == size
    assert_same(theirs, ours)


def test_noise_maps_have_the_shape_of_the_image(tmp_path: Path) -> None:
    ours = imported(tmp_path, tiny(square=False))
    assert ours.noise_maps()["b8.conv0"].shape == (1, 1, 8, 4)
    latents = ours.map(torch.zeros(1, 24) + 1)
    drawn = ours.synthesize(latents, noise="random").image
    assert drawn is not None
    assert drawn.shape == (1, 3, 32, 16)


@pytest.mark.parametrize("zipped", [True, False])
def test_tuned_module_of_pti(zipped: bool, tmp_path: Path) -> None:
    theirs = tiny()
    path = tmp_path / "model_XKPQ_face.pt"
    write_module(path, theirs, zipped=zipped)
    assert is_foreign(path)
    read = read_generator(path)
    assert read.kind == "pti-module"
    assert_same(theirs, read.generator)


def test_arguments_without_names(tmp_path: Path) -> None:
    theirs = tiny()
    arguments = theirs._init_kwargs  # pyright: ignore[reportPrivateUsage]
    for name in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"):
        del arguments[name]
    assert_same(theirs, imported(tmp_path, theirs))


def test_without_noise(tmp_path: Path) -> None:
    theirs = tiny(use_noise=False)
    path = tmp_path / "quiet.pkl"
    write_pickle(path, snapshot(theirs))
    read = read_generator(path)
    assert read.notes == ("it has no constant noise: none is added",)
    assert_same(theirs, read.generator)


def test_without_a_mean_latent(tmp_path: Path) -> None:
    theirs = tiny()
    del theirs.mapping.w_avg
    path = tmp_path / "meanless.pkl"
    write_pickle(path, snapshot(theirs))
    read = read_generator(path)
    assert "no mean latent" in read.notes[0]
    average = read.generator.mapping.w_avg
    drawn = read.generator.mapping(torch.randn(4000, 24)).mean(dim=0)
    assert (average - drawn).abs().max() < 0.1
    theirs.mapping.register_buffer("w_avg", average)
    assert_same(theirs, read.generator)


def test_storages_of_a_graphics_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_card(_storage: object) -> str:
        return "cuda:0"

    monkeypatch.setattr(torch.serialization, "location_tag", on_card)
    theirs = tiny()
    ours = imported(tmp_path, theirs)
    assert {p.device.type for p in ours.parameters()} == {"cpu"}
    assert_same(theirs, ours)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = tiny().to(dtype)
    ours = imported(tmp_path, theirs)
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    assert_same(theirs.float(), ours)


def test_parameters_that_are_views(tmp_path: Path) -> None:
    theirs = tiny()
    layer = layer_of(theirs, "synthesis.b8.conv1")
    layer.bias.data = (torch.arange(48.0) / 100)[1::2]
    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
    assert_same(theirs, imported(tmp_path, theirs))


def refuse_small_blocks(generator: foreign_nvidia.Generator) -> None:
    layer_of(generator, "synthesis.b16.conv0").weight = nn.Parameter(torch.zeros(16, 23, 3, 3))


def drop_layer(generator: foreign_nvidia.Generator) -> None:
    del generator.get_submodule("synthesis.b16").conv0


def poison(value: float) -> Callable[[foreign_nvidia.Generator], None]:
    def change(generator: foreign_nvidia.Generator) -> None:
        layer_of(generator, "synthesis.b16.conv0").weight[3, 2, 1, 1] = value

    return change


def make_integer(generator: foreign_nvidia.Generator) -> None:
    generator.mapping.w_avg = torch.zeros(32, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (refuse_small_blocks, r"b16.conv0.weight has shape [16, 23, 3, 3] where its configuration"),
        (drop_layer, "lacks synthesis.b16.conv0."),
        (poison(float("nan")), "holds NaN or infinity"),
        (poison(float("inf")), "holds NaN or infinity"),
        (make_integer, "of type torch.int64, not floating point"),
    ],
)
def test_refuses_broken_parameters(
    change: Callable[[foreign_nvidia.Generator], None], message: str, tmp_path: Path
) -> None:
    theirs = tiny()
    change(theirs)
    with pytest.raises(BrokenWeightsError, match=re.escape(message)):
        imported(tmp_path, theirs)


@pytest.mark.parametrize(
    ("key", "value"),
    [("img_resolution", 64), ("w_dim", 48), ("img_resolution", 2**90), ("w_dim", "32"),
     ("z_dim", -3), ("channel_max", 16), ("channel_base", 10**9), ("num_layers", 2)],
)  # fmt: skip
def test_refuses_a_configuration_that_contradicts(key: str, value: object, tmp_path: Path) -> None:
    theirs = tiny()
    arguments = theirs._init_kwargs  # pyright: ignore[reportPrivateUsage]
    nested = {"channel_max": "synthesis_kwargs", "channel_base": "synthesis_kwargs",
              "num_layers": "mapping_kwargs"}  # fmt: skip
    (arguments[nested[key]] if key in nested else arguments)[key] = value
    with pytest.raises(WeightsError) as caught:
        imported(tmp_path, theirs)
    assert "\n" not in str(caught.value)
    assert "configuration" in str(caught.value) or "has not" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "resnet"}, "architecture 'resnet': only 'skip' is read"),
        ({"architecture": "orig"}, "architecture 'orig'"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"c_dim": 10}, "class-conditional"),
        ({"img_channels": 1}, "images of three channels"),
        ({"lr_multiplier": 1.0}, "lr_multiplier is not 0.01"),
    ],
)
def test_refuses_variants(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedWeightsError, match=message):
        imported(tmp_path, tiny(**arguments))


def test_refuses_stylegan3(tmp_path: Path) -> None:
    theirs = tiny()
    theirs.synthesis.input = foreign_nvidia.FullyConnectedLayer(4, 4)
    with pytest.raises(UnsupportedWeightsError, match="is a StyleGAN3 generator"):
        imported(tmp_path, theirs)


def test_refuses_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "detector.pkl"
    write_pickle(path, {"G_ema": foreign_nvidia.Discriminator()})
    with pytest.raises(UnsupportedWeightsError, match="of class 'Discriminator', not StyleGAN2"):
        read_generator(path)
    write_pickle(path, {"G_ema": None})
    with pytest.raises(UnsupportedWeightsError, match="of class 'NoneType'"):
        read_generator(path)


IMPORT = """
import re, sys, time
from pathlib import Path
from weights.readers import read_generator
start = time.perf_counter()
config = read_generator(Path(sys.argv[1])).generator.config
assert config.resolution == 1024
seconds = time.perf_counter() - start
status = Path("/proc/self/status").read_text()
print(seconds, re.search(r"VmHWM:\\s*(\\d+) kB", status).group(1))
"""
# VmHWM is this process's own peak; getrusage counts that of its parent before the fork too.


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_full_size_network_fits_in_two_gigabytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"z_dim": 512, "w_dim": 512, "img_resolution": 1024, "num_layers": 8}
    generators = [foreign_nvidia.Generator(**sizes) for _ in range(3)]
    path = tmp_path / "ffhq.pkl"
    write_pickle(path, dict(zip(("G", "D", "G_ema"), generators, strict=True)), 3)
    assert 360e6 < path.stat().st_size < 400e6
    result = subprocess.run(
        [sys.executable, "-c", IMPORT, path], cwd=ROOT, check=True, capture_output=True, text=True
    )
    seconds, kibibytes = map(float, result.stdout.split())
    print(f"{path.stat().st_size / 1e6:.0f} MB in {seconds:.1f} s, {kibibytes / 1e6:.2f} GB")
    assert kibibytes * 1024 < 2e9
