"""A tiny run of the trainer, on portraits drawn here."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from weights.errors import BrokenWeightsError, WeightsError
from weights.face_finder import MIRRORED
from weights.perceptual import load_perceptual
from weights.store import load_directions, load_encoder, load_generator
from weights.stylegan2 import GeneratorConfig
from weights.training.checkpoint import load_checkpoint, save_checkpoint
from weights.training.expressions import EXPRESSIONS
from weights.training.losses import pyramid_l1
from weights.training.mapping import with_mapping
from weights.training.pairs import Batch, Shares, disagreement, with_expressions, with_own
from weights.training.portraits import (
    PARTS,
    flip,
    load_portraits,
    pixel_grid,
    random_warp,
    read,
)
from weights.training.reconstruction import (
    Networks,
    ReconstructionOptions,
    batches,
    train_step,
)

CONFIG = GeneratorConfig(resolution=32, channel_base=256, channel_max=32, w_dim=16, z_dim=16,
                         mapping_layers=2)  # fmt: skip
OPTIONS = ReconstructionOptions(stages=((16, 16), (32, 32)), batch=4, warmup=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixteen blurred pictures with landmarks on a circle."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = 128 + 60 * np.stack([np.cos(angles), np.sin(angles)], 1)
    records: list[dict[str, object]] = []
    for k in range(16):
        coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(tmp_path / f"p{k}.jpg")
        split, kind = ("val" if k > 11 else "train"), ("gray" if k % 4 == 0 else "colour")
        records.append({"name": f"p{k}", "kind": kind, "split": split,
                        "landmarks68": points.tolist()})  # fmt: skip
    (tmp_path / "index.json").write_text(json.dumps(records))
    return tmp_path


def run(folder: Path, steps: int, start: Path | None = None) -> tuple[Networks, torch.optim.Adam]:
    networks = Networks.fresh(CONFIG, 1)
    parameters = [
        *networks.generator.synthesis.parameters(),
        *networks.encoder.parameters(),
        *networks.steps.parameters(),
    ]
    optimizer = torch.optim.Adam([{"params": parameters, "initial_lr": 1e-3}])
    seen = 0 if start is None else load_checkpoint(start, networks.modules(), {"all": optimizer})
    perceptual = load_perceptual()
    data = load_portraits(folder, "train", 32)
    for batch, _ in zip(batches(data, OPTIONS, seen), range(steps), strict=False):
        train_step(networks, optimizer, perceptual, batch, OPTIONS, seen)
        networks.average(0.5)
        seen += OPTIONS.batch
    return networks, optimizer


def test_a_resumed_run_is_the_uninterrupted_one(folder: Path) -> None:
    half, optimizer = run(folder, 2)
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, half.modules(), {"all": optimizer}, {"seen": "8"})
    resumed, _ = run(folder, 2, start=path)
    whole, _ = run(folder, 4)
    for name, network in resumed.modules().items():
        for a, b in zip(network.parameters(), whole.modules()[name].parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
    moved = (resumed.generator.synthesis.blocks()[1].conv1.weight
             - half.generator.synthesis.blocks()[1].conv1.weight)  # fmt: skip
    assert moved.abs().max() > 0


def descend(rank: int, count: int, folder: Path) -> None:
    """Two steps of gradient descent as one of `count` processes; each writes its networks."""
    torch.set_num_threads(1)
    if count > 1:
        store = torch.distributed.FileStore(str(folder / "meeting"), count)
        torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=count)
    options = replace(OPTIONS, noise_until=0)
    networks = Networks.fresh(CONFIG, 1)
    parameters = [*networks.generator.synthesis.parameters(), *networks.encoder.parameters()]
    optimizer = torch.optim.SGD([{"params": parameters, "initial_lr": 0.1}])
    data, perceptual = load_portraits(folder, "train", 32), load_perceptual()
    for k, batch in zip(range(2), batches(data, options, 0), strict=False):
        share = batch.share(torch.device("cpu"))
        assert len(share.shown) == options.batch // count
        train_step(networks, optimizer, perceptual, share, options, k * options.batch)
    save_checkpoint(folder / f"{rank}-of-{count}", networks.modules(), {}, {"seen": "8"})
    if count > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_what_one_does(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    places = [(0, 1), (0, 2), (1, 2)]
    started = [context.Process(target=descend, args=(*place, folder)) for place in places]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0, 0]
    found = [Networks.fresh(CONFIG, 1) for _ in places]
    for networks, (rank, count) in zip(found, places, strict=True):
        load_checkpoint(folder / f"{rank}-of-{count}", networks.modules(), {})
    begun = torch.nn.utils.parameters_to_vector(Networks.fresh(CONFIG, 1).encoder.parameters())
    alone, first, second = (
        torch.nn.utils.parameters_to_vector(networks.encoder.parameters()) for networks in found
    )
    assert torch.equal(first, second)
    assert (alone - begun).norm() > 1e-3
    assert (first - alone).norm() < 0.02 * (alone - begun).norm()


def test_pairs_differ_by_what_they_say(folder: Path) -> None:
    data = load_portraits(folder, "train", 32)
    shares = Shares(expressive=1.0, paired=0.4, undone=0.3)
    rng = torch.Generator().manual_seed(4)
    batch = with_expressions(data.network_images(), data.landmarks, shares, rng)
    alone = (batch.change == 0).all(1)
    assert 0 < alone.sum() < len(alone)
    assert torch.equal(batch.shown[alone], batch.wanted[alone])
    assert (batch.shown[~alone] != batch.wanted[~alone]).flatten(1).any(1).all()
    assert batch.attention[~alone].max() > batch.attention[alone].max()


def test_an_expression_that_is_undone_leads_back_to_the_portrait(folder: Path) -> None:
    data = load_portraits(folder, "train", 32)

    def pairs(shares: Shares) -> Batch:
        rng = torch.Generator().manual_seed(4)
        return with_expressions(data.network_images(), data.landmarks, shares, rng)

    done = pairs(Shares(expressive=1.0, paired=1.0, undone=0.0, own=0.0))
    undone = pairs(Shares(expressive=1.0, paired=0.0, undone=1.0))
    assert torch.equal(done.shown, undone.wanted)
    lids = torch.tensor([name.startswith("lid") for name in EXPRESSIONS])
    torch.testing.assert_close(done.change[:, ~lids], -undone.change[:, ~lids])
    shut = undone.change[:, lids] == -1
    asked = done.change[:, lids]
    assert shut.any()
    assert (asked[shut] > 1).all()
    torch.testing.assert_close(asked[~shut], -undone.change[:, lids][~shut])
    assert done.paired.all()
    assert not undone.paired.any()


def test_own_pairs_ask_for_the_warp_of_what_is_drawn(folder: Path) -> None:
    data, networks = load_portraits(folder, "train", 32), Networks.fresh(CONFIG, 1)
    shares = Shares(expressive=1.0, paired=1.0, own=0.5)
    rng = torch.Generator().manual_seed(3)
    batch = with_expressions(data.network_images(), data.landmarks, shares, rng)
    own = batch.own
    assert 0 < own.sum() < len(own)
    grid = pixel_grid(32).expand(int(own.sum()), -1, -1, -1)
    assert torch.equal(batch.shown[own], read(data.network_images()[own], grid))
    with torch.no_grad():
        still = networks.generator(networks.encoder(batch.shown[own])).clamp(-1, 1)
    wanted, attention = with_own(batch, still)
    assert torch.equal(wanted[~own], batch.wanted[~own])
    assert torch.equal(attention[~own], batch.attention[~own])
    assert (wanted[own] != still).flatten(1).any(1).all()
    unchanged, _ = with_own(replace(batch, change=torch.zeros_like(batch.change)), still)
    torch.testing.assert_close(unchanged[own], still, rtol=1e-3, atol=1e-3)


def test_agreement_is_reached_where_the_encoder_reads_the_step(folder: Path) -> None:
    data, networks = load_portraits(folder, "train", 32), Networks.fresh(CONFIG, 1)
    shares = Shares(expressive=1.0, paired=0.6)
    rng = torch.Generator().manual_seed(3)
    batch = with_expressions(data.network_images(), data.landmarks, shares, rng)
    assert 0 < batch.paired.sum() < len(batch.paired)
    with torch.no_grad():
        read_as = networks.encoder(batch.wanted)
    beside = read_as + 0.5 * batch.paired[:, None, None]
    assert disagreement(networks.encoder, batch, read_as).item() == pytest.approx(0, abs=1e-9)
    expected = 0.25 * batch.paired.float().mean().item()
    assert disagreement(networks.encoder, batch, beside).item() == pytest.approx(expected, rel=1e-3)


def test_training_goes_on_from_finished_networks() -> None:
    networks = Networks.finished("portrait-128")
    built_in, encoder = load_generator("portrait-128"), load_encoder("portrait-128")
    assert encoder is not None
    picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        drawn = networks.generator(networks.encoder(picture))
        torch.testing.assert_close(drawn, built_in(encoder(picture)), rtol=1e-3, atol=1e-3)
    assert all(p.requires_grad for p in networks.encoder.parameters())
    directions = load_directions("portrait-128")
    assert directions is not None
    for name in directions.config.names:
        asked = torch.tensor([[0.5 * (other == name) for other in EXPRESSIONS]])
        torch.testing.assert_close(networks.steps(asked), directions.along({name: 0.5}))


def test_agreement_does_not_move_all_latents_together(folder: Path) -> None:
    data, networks = load_portraits(folder, "train", 32), Networks.fresh(CONFIG, 1)
    shares = Shares(expressive=1.0, paired=0.6)
    rng = torch.Generator().manual_seed(3)
    batch = with_expressions(data.network_images(), data.landmarks, shares, rng)
    away = disagreement(networks.encoder, batch, networks.encoder(batch.shown) + 1)
    away.backward()
    bias, weight = networks.encoder.base.bias.grad, networks.encoder.base.weight.grad
    assert bias is not None
    assert weight is not None
    assert away.item() > 0
    assert bias.abs().max() < 1e-6
    assert weight.abs().max() > 1e-4


def test_checkpoint_of_another_shape_is_refused(folder: Path) -> None:
    networks, optimizer = run(folder, 1)
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, {"encoder": networks.encoder}, {"all": optimizer}, {"seen": "4"})
    with pytest.raises(BrokenWeightsError, match="not a checkpoint of this run"):
        load_checkpoint(path, networks.modules(), {"all": optimizer})


def test_bad_data_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsError, match="name a folder of aligned portraits"):
        load_portraits(tmp_path / "nowhere", "train", 32)
    with pytest.raises(WeightsError, match="lists no picture of the split 'test'"):
        load_portraits(folder, "test", 32)
    (folder / "p3.jpg").write_bytes(b"not a picture")
    with pytest.raises(WeightsError, match="record 3 of"):
        load_portraits(folder, "train", 32)


def test_flip_is_an_involution_in_ibug_order() -> None:
    rng = torch.Generator().manual_seed(0)
    images, landmarks = torch.rand(2, 3, 8, 8, generator=rng), torch.rand(2, 68, 2, generator=rng)
    both = torch.tensor([True, True])
    twice = flip(*flip(images, landmarks, both), both)
    torch.testing.assert_close(twice[0], images)
    torch.testing.assert_close(twice[1], landmarks)
    left = {MIRRORED[k] for k in PARTS["upper_lid_left"][0]}
    assert left == set(PARTS["upper_lid_right"][0])


def test_warp_is_small_and_repeatable() -> None:
    grid = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    x = torch.cat([grid, grid.transpose(2, 3), grid], 1).repeat(4, 1, 1, 1)
    landmarks = torch.rand(4, 68, 2, generator=torch.Generator().manual_seed(0)) - 0.5

    def warped(seed: int) -> Tensor:
        return random_warp(x, landmarks, torch.Generator().manual_seed(seed))

    torch.testing.assert_close(warped(1), warped(1))
    moved = (warped(1) - x).abs()
    assert 1e-3 < moved.mean() < 0.2


def test_loss_is_zero_for_equal_pictures() -> None:
    picture = torch.rand(1, 3, 32, 32)
    assert pyramid_l1(picture, picture) == 0
    assert pyramid_l1(picture, 1 - picture) > 0


def test_mapping_draws_from_the_gaussian_and_changes_no_picture() -> None:
    networks = Networks.fresh(CONFIG, 1)
    generator, encoder = networks.generator, networks.encoder
    with torch.no_grad():
        for block in generator.synthesis.blocks():
            block.torgb.weight.normal_(generator=torch.Generator().manual_seed(2))
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(16, 16, generator=rng) * 0.2
    latents = torch.linspace(-1, 1, 16) + torch.randn(4000, 16, generator=rng) @ mixing
    picture = torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1
    with torch.no_grad():
        before = generator(encoder(picture))
        finished = with_mapping(generator, encoder, latents)
        torch.testing.assert_close(finished(encoder(picture)), before, rtol=1e-3, atol=1e-3)
        drawn = finished.mapping(torch.randn(4000, 16, generator=rng))
    shift = finished.mapping.w_avg - latents.mean(0)
    assert (drawn - shift).mean(0).sub(latents.mean(0)).abs().max() < 0.05
    expected = torch.cov(latents.t())
    # The mapping normalises z, which in only 16 dimensions is not quite Gaussian any more.
    assert (torch.cov(drawn.t()) - expected).norm() < 0.1 * expected.norm()
