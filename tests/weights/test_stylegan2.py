"""The generator against StyleGAN2's definition, written out the slow way."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from weights.errors import WeightsError
from weights.layers import SynthesisLayer
from weights.stylegan2 import Generator, GeneratorConfig, SynthesisBlock

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


def upsample(x: Tensor, before: int, after: int) -> Tensor:
    """Zeros between the pixels, zero padding, the low-pass filter with gain 4."""
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, 2 * h, 2 * w)
    spread[:, :, ::2, ::2] = x
    padded = F.pad(spread, (before, after, before, after))
    kernel = (4 * torch.outer(TAPS, TAPS)).expand(c, 1, 4, 4)
    return F.conv2d(padded, kernel, groups=c)


def linear(weight: Tensor, bias: Tensor, x: Tensor, lr: float = 1.0) -> Tensor:
    return x @ weight.t() * (lr / math.sqrt(weight.shape[1])) + bias * lr


def activate(x: Tensor) -> Tensor:
    return (F.leaky_relu(x, 0.2) * math.sqrt(2)).clamp(-256, 256)


def reference_layer(layer: SynthesisLayer, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    """Weights modulated and demodulated sample by sample (Eq. 1 and 3 of the paper)."""
    styles = linear(layer.affine.weight, layer.affine.bias, w)
    outputs: list[Tensor] = []
    for sample, style in zip(x, styles, strict=True):
        weight = layer.weight * style[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.up:
            # A true convolution, hence the flipped kernel, of the upsampled input.
            output = F.conv2d(upsample(sample[None], 3, 2), weight.flip(2, 3))
        else:
            output = F.conv2d(sample[None], weight, padding=1)
        outputs.append(output)
    return activate(torch.cat(outputs) + noise * layer.noise_strength + layer.bias[:, None, None])


def reference_image(generator: Generator, latents: Tensor) -> Tensor:
    image, x, index = None, torch.empty(0), 0
    for block in generator.synthesis.blocks():
        if block.side == 4:
            x = block.const.expand(len(latents), -1, -1, -1)
        for _, layer in block.layers():
            x = reference_layer(layer, x, latents[:, index], layer.noise_const)
            index += 1
        rgb = block.torgb
        style = linear(rgb.affine.weight, rgb.affine.bias, latents[:, index]) * rgb.style_gain
        colour = torch.einsum("nchw,oc,nc->nohw", x, rgb.weight[:, :, 0, 0], style)
        colour = colour + rgb.bias[:, None, None]
        image = colour if image is None else colour + upsample(image, 2, 1)
    assert image is not None
    return image


def randomised(generator: Generator) -> Generator:
    """Give every parameter a value that shows if it is used wrongly."""
    rng = torch.Generator().manual_seed(5)
    for name, value in generator.named_parameters():
        if name.endswith(("bias", "noise_strength")):
            value.add_(torch.randn(value.shape, generator=rng) * 0.3)
    return generator


def latents_for(generator: Generator, n: int, seed: int = 1) -> Tensor:
    config = generator.config
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, config.num_latents, config.w_dim, generator=rng)


def test_image_equals_the_definition(tiny_generator: Generator) -> None:
    generator = randomised(tiny_generator).double()
    generator.compute_dtype = torch.float64
    latents = latents_for(generator, 2).double()
    # torgb answers in float32, which bounds the agreement.
    torch.testing.assert_close(
        generator(latents), reference_image(generator, latents), rtol=1e-5, atol=1e-5,
        check_dtype=False,
    )  # fmt: skip


def test_mapping_equals_the_definition(tiny_generator: Generator) -> None:
    z = torch.randn(3, 32, generator=torch.Generator().manual_seed(2))
    w = z / z.square().mean(1, keepdim=True).sqrt()
    parameters = dict(tiny_generator.mapping.named_parameters())
    for k in range(2):
        weight, bias = parameters[f"fc{k}.weight"], parameters[f"fc{k}.bias"]
        w = F.leaky_relu(linear(weight, bias, w, 0.01), 0.2) * math.sqrt(2)
    torch.testing.assert_close(tiny_generator.mapping(z), w)
    average = tiny_generator.mapping.w_avg
    expected = average + 0.7 * (w - average)
    torch.testing.assert_close(tiny_generator.map(z, psi=0.7)[:, 4], expected)
    torch.testing.assert_close(tiny_generator.map(5 * z), tiny_generator.map(z))


def test_parameter_names_are_those_of_g_ema(tiny_generator: Generator) -> None:
    names = set(tiny_generator.state_dict())
    layer = ("weight", "bias", "noise_strength", "noise_const", "resample_filter",
             "affine.weight", "affine.bias")  # fmt: skip
    expected = {"mapping.w_avg", "synthesis.b4.const"}
    expected |= {f"mapping.fc{k}.{part}" for k in range(2) for part in ("weight", "bias")}
    for side in (4, 8, 16, 32):
        convolutions = ("conv1",) if side == 4 else ("conv0", "conv1")
        expected |= {f"synthesis.b{side}.{conv}.{part}" for conv in convolutions for part in layer}
        rgb = ("weight", "bias", "affine.weight", "affine.bias")
        expected |= {f"synthesis.b{side}.torgb.{part}" for part in rgb}
        expected.add(f"synthesis.b{side}.resample_filter")
    assert names == expected


def test_ffhq_shape() -> None:
    config = GeneratorConfig(resolution=1024, channel_base=32768, channel_max=512)
    with torch.device("meta"):
        generator = Generator(config)
    assert config.num_latents == 18
    counted = sum(p.numel() for p in generator.parameters())
    assert counted == 30_370_060  # the published count of the 1024 px network's parameters
    blocks: list[SynthesisBlock] = generator.synthesis.blocks()
    assert [config.channels(b.side) for b in blocks] == [512] * 5 + [256, 128, 64, 32]


def test_features_stop_where_asked(tiny_generator: Generator) -> None:
    latents = latents_for(tiny_generator, 1)
    full = tiny_generator.synthesize(latents, keep=(8, 16))
    early = tiny_generator.synthesize(latents[:, :5], image=False, keep=(16,), until=16)
    assert early.image is None
    assert set(early.features) == {16}
    torch.testing.assert_close(early.features[16], full.features[16])
    assert full.features[8].shape == (1, 32, 8, 8)
    coarse = tiny_generator.synthesize(latents, until=8).image
    assert coarse is not None
    assert coarse.shape == (1, 3, 8, 8)


def test_nothing_beyond_the_stop_is_computed(tiny_generator: Generator) -> None:
    for block in tiny_generator.synthesis.blocks():
        if block.side > 8:
            block.conv0.weight.fill_(math.nan)
    features = tiny_generator.synthesize(
        latents_for(tiny_generator, 1), image=False, keep=(8,), until=8
    ).features[8]
    assert features.isfinite().all()


def test_noise_modes(tiny_generator: Generator) -> None:
    generator = randomised(tiny_generator)
    latents = latents_for(generator, 1)
    constant = generator(latents)
    given = generator.synthesize(latents, noise=generator.noise_maps()).image
    assert given is not None
    torch.testing.assert_close(given, constant, rtol=0, atol=0)
    silent = generator.synthesize(latents, noise="none").image
    quiet = {name: torch.zeros_like(m) for name, m in generator.noise_maps().items()}
    zeroed = generator.synthesize(latents, noise=quiet).image
    assert silent is not None
    assert zeroed is not None
    torch.testing.assert_close(silent, zeroed, rtol=0, atol=0)
    assert (silent - constant).abs().mean() > 1e-3
    first = generator.synthesize(latents, noise="random").image
    assert first is not None
    assert (first - constant).abs().mean() > 1e-3


def test_bfloat16_stays_near(tiny_generator: Generator) -> None:
    latents = latents_for(tiny_generator, 2)
    exact = tiny_generator(latents)
    tiny_generator.compute_dtype = torch.bfloat16
    near = tiny_generator(latents)
    assert near.dtype == torch.float32
    assert (near - exact).norm() / exact.norm() < 0.02


def test_batch_does_not_change_a_picture(tiny_generator: Generator) -> None:
    latents = latents_for(tiny_generator, 3)
    torch.testing.assert_close(
        tiny_generator(latents)[1:2], tiny_generator(latents[1:2]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("resolution", [0, 4, 96])
def test_refuses_odd_resolutions(resolution: int) -> None:
    with pytest.raises(WeightsError, match=f"power of two of at least 8, not {resolution}"):
        GeneratorConfig(resolution=resolution, channel_base=256, channel_max=32)


def test_high_images_have_high_maps_everywhere() -> None:
    config = GeneratorConfig(
        resolution=16, channel_base=64, channel_max=8, w_dim=8, z_dim=8, height_to_width=2
    )
    generator = Generator(config)
    drawn = generator.synthesize(latents_for(generator, 2), keep=(4, 8), noise="random")
    assert drawn.image is not None
    assert drawn.image.shape == (2, 3, 16, 8)
    assert drawn.features[4].shape[2:] == config.size(4) == (4, 2)
    assert {tuple(m.shape[2:]) for m in generator.noise_maps().values()} == {
        (4, 2),
        (8, 4),
        (16, 8),
    }
    with pytest.raises(WeightsError, match="square or twice as high as wide, not 3 times"):
        GeneratorConfig(resolution=16, channel_base=64, channel_max=8, height_to_width=3)


def test_a_clamp_bounds_every_layer(tiny_generator: Generator) -> None:
    free = randomised(tiny_generator)
    bounded = Generator(replace(free.config, conv_clamp=0.5)).requires_grad_(False)
    bounded.load_state_dict(free.state_dict())
    free = Generator(replace(free.config, conv_clamp=None)).requires_grad_(False)
    free.load_state_dict(bounded.state_dict())
    latents = latents_for(free, 1)
    image = bounded.synthesize(latents, until=4, keep=(4,))
    expected = free.synthesize(latents, until=4, keep=(4,))
    assert expected.features[4].abs().max() > 1
    assert torch.equal(image.features[4], expected.features[4].clamp(-0.5, 0.5))
    assert image.image is not None
    assert image.image.abs().max() <= 0.5


def test_refuses_latents_and_blocks_it_has_not(tiny_generator: Generator) -> None:
    latents = latents_for(tiny_generator, 1)
    with pytest.raises(WeightsError, match=r"latents must be \[N, 8, 32\], not \[1, 2, 32\]"):
        tiny_generator.synthesize(latents[:, :2])
    with pytest.raises(WeightsError, match="no block of side 64"):
        tiny_generator.synthesize(latents, until=64)
    with pytest.raises(WeightsError, match="no block of side 16 up to 8"):
        tiny_generator.synthesize(latents, until=8, keep=(16,))
