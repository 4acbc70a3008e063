"""`photodrag weights train-encoder`: a start for the inversions of a generator without one."""

import argparse
from collections import deque
from pathlib import Path

from pipeline.commands.console import Adding, Console, Outcome
from pipeline.commands.lists import parse_seed
from pipeline.errors import RequestError
from pipeline.models import DEVICES, choose_device
from pipeline.session import Json
from weights.dtypes import choose_dtype
from weights.perceptual import load_perceptual
from weights.store import find_weights, load_generator
from weights.training.encoder_of import EncoderOptions, train_encoder


def add_train_encoder(group: Adding) -> None:
    """Describe the command and its flags."""
    sub = group.command(
        "train-encoder", weights_train_encoder,
        "train an encoder for a generator, from its own samples alone",
    )  # fmt: skip
    defaults = EncoderOptions()
    sub.add_argument("name", metavar="NAME|FILE", help="of the generator")
    sub.add_argument(
        "--images", type=int, default=defaults.images, metavar="N",
        help="samples in the whole run; default %(default)s",
    )  # fmt: skip
    sub.add_argument(
        "--batch", type=int, default=defaults.batch, metavar="N", help="default %(default)s"
    )
    sub.add_argument(
        "--seed", type=parse_seed, default=defaults.seed, metavar="N", help="default %(default)s"
    )
    sub.add_argument("--device", choices=DEVICES, default="auto", help="default %(default)s")
    sub.add_argument("--overwrite", action="store_true", help="an encoder may be replaced")


def weights_train_encoder(args: argparse.Namespace, console: Console) -> Outcome:
    """Train, or go on with a training; the encoder is put beside its generator."""
    path = encoder_path(find_weights(args.name))
    if path.exists() and not args.overwrite:
        raise RequestError(f"{path} exists: say --overwrite to replace it")
    if args.images < 1 or args.batch < 1:
        raise RequestError("--images and --batch are at least 1")
    device = choose_device(args.device)
    generator = load_generator(args.name, device=device, compute_dtype=choose_dtype(device))
    options = EncoderOptions(images=args.images, batch=args.batch, seed=args.seed)
    steps = train_encoder(generator, load_perceptual(device=device), path, options)
    total = -(-options.images // options.batch)
    last = deque(console.watch(steps, stage="train-encoder", total=total), maxlen=1)
    record: Json = {"encoder": str(path), "samples": options.images}
    if last:
        record |= {"latent": last[0].latent, "picture": last[0].picture}
    return Outcome(text=f"{path}: inversions with {args.name} start from it now", record=record)


def encoder_path(generator: Path) -> Path:
    """Where the encoder of a generator lies."""
    return generator.with_name(f"{generator.stem}-encoder{generator.suffix}")
