"""`photodrag weights train`: a generator from a person's own folder of pictures."""

import argparse
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from pipeline.commands.console import Adding, Console, Outcome
from pipeline.commands.lists import parse_seed
from pipeline.errors import RequestError
from pipeline.models import DEVICES, choose_device
from pipeline.photo import check_folder
from weights.dtypes import choose_dtype
from weights.store import load_generator
from weights.stylegan2 import Generator, GeneratorConfig
from weights.training.adversarial import RESULT, AdversarialOptions, TrainingStep, train
from weights.training.pictures import load_pictures
from weights.training.processes import join_processes

SMALLEST, LARGEST = 32, 1024


def add_train(group: Adding) -> None:
    """Describe the command and its flags."""
    sub = group.command("train", weights_train, "train a StyleGAN2 on a folder of square pictures")
    defaults = AdversarialOptions()
    sub.add_argument("--data", type=Path, required=True, metavar="DIR", help="of square pictures")
    sub.add_argument(
        "-o", "--output", type=Path, required=True, metavar="RUN",
        help="folder of the run; one that holds a run is gone on with",
    )  # fmt: skip
    sub.add_argument(
        "--start", metavar="NAME|FILE",
        help="a generator to go on from, such as one trained by reconstruction; default none",
    )  # fmt: skip
    sub.add_argument("--resolution", type=int, metavar="PX", help="default 128, or that of --start")
    sub.add_argument(
        "--images", type=int, default=defaults.images, metavar="N",
        help="pictures shown in the whole run; default %(default)s",
    )  # fmt: skip
    sub.add_argument(
        "--batch", type=int, default=defaults.batch, metavar="N", help="default %(default)s"
    )
    sub.add_argument(
        "--lr", type=float, default=defaults.learning_rate, help="Adam's; default %(default)s"
    )
    sub.add_argument(
        "--no-mirror", action="store_true", help="mirror images are not as good as the pictures"
    )
    sub.add_argument(
        "--report-every", type=int, default=4000, metavar="N",
        help="pictures between two checkpoints; default %(default)s",
    )  # fmt: skip
    sub.add_argument("--device", choices=DEVICES, default="auto", help="default %(default)s")
    sub.add_argument(
        "--seed", type=parse_seed, default=defaults.seed, metavar="N", help="default %(default)s"
    )


def weights_train(args: argparse.Namespace, console: Console) -> Outcome:
    """Train, or go on with a training."""
    device = join_processes(choose_device(args.device))
    options = AdversarialOptions(
        images=args.images, batch=args.batch, learning_rate=args.lr, seed=args.seed
    )
    generator = _first_generator(args, options.seed)
    generator.compute_dtype = choose_dtype(device)
    pictures = load_pictures(args.data, generator.config.resolution, mirror=not args.no_mirror)
    args.output.mkdir(exist_ok=True)
    check_folder(args.output)
    steps = train(
        generator, pictures, args.output, options, device=device, report_every=args.report_every
    )
    total = -(-options.images // options.batch)
    deque(_telling(console.watch(steps, stage="train", total=total), console), maxlen=0)
    result = args.output / RESULT
    text = f"{result}: use it with --generator {result}"
    return Outcome(text=text, record={"generator": str(result), "seen": options.images})


def _first_generator(args: argparse.Namespace, seed: int) -> Generator:
    if args.start is not None:
        start = load_generator(args.start)
        if args.resolution not in (None, start.config.resolution):
            raise RequestError(
                f"--start {args.start} draws {start.config.resolution} pixels, "
                f"not {args.resolution}: leave --resolution out"
            )
        return start
    side = 128 if args.resolution is None else args.resolution
    if side not in [2**k for k in range(5, 11)]:
        raise RequestError(
            f"--resolution is a power of two from {SMALLEST} to {LARGEST}, not {side}"
        )
    torch.manual_seed(seed)
    return Generator(GeneratorConfig(resolution=side, channel_base=64 * side, channel_max=512))


def _telling(steps: Iterable[TrainingStep], console: Console) -> Iterator[TrainingStep]:
    for step in steps:
        if step.held_out is not None:
            console.say(
                f"{step.seen} pictures: losses {step.generator_loss:.2f} and "
                f"{step.discriminator_loss:.2f}, augmentation {step.augmentation:.2f}, "
                f"overfitting r_t {step.real_signs:.2f} r_v {step.held_out:.2f}"
            )
        yield step
