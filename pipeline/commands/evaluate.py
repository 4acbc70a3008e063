"""Commands that measure photodrag against published protocols: `evaluate`."""

import argparse
import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from editing.engine import ENGINES
from editing.presets import PRESETS
from inversion.invert import QUALITIES
from pipeline.commands import flags
from pipeline.commands.console import Adding, Console, Outcome
from pipeline.evaluate.ablate import PARTS, evaluate_ablation
from pipeline.evaluate.drawn import evaluate_samples
from pipeline.evaluate.edits import evaluate_edits
from pipeline.evaluate.inversion import evaluate_inversion
from pipeline.evaluate.landmarks import evaluate_landmarks
from pipeline.evaluate.paired import MAX_STEPS as PAIRED_STEPS
from pipeline.evaluate.paired import evaluate_paired
from pipeline.evaluate.pairs import POINT_SETS
from pipeline.evaluate.photos import DRAGS, evaluate_photos
from pipeline.evaluate.pictures import PORTRAITS, PORTRAITS_VARIABLE, find_set
from pipeline.evaluate.report import Evaluation, to_page
from pipeline.evaluate.setting import Setting, finish
from weights.identity import VARIABLE as IDENTITY_VARIABLE


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    group = adding.group("evaluate", "measure photodrag against published protocols")
    sub = group.command("landmarks", landmarks, "drag samples' landmarks to those of others")
    sub.set_defaults(evaluation="landmarks")
    sub.add_argument(
        "--points", default=",".join(POINT_SETS), metavar="SET,SET",
        type=partial(parse_counted, tuple(POINT_SETS)),
        help=f"which landmarks: {', '.join(POINT_SETS)}; default all of these; 68:60 is 68 points "
        "for the first 60 pairs only",
    )  # fmt: skip
    sub.add_argument(
        "--engines", default=",".join(ENGINES), metavar="NAME,NAME",
        type=partial(parse_counted, tuple(ENGINES)),
        help=f"{', '.join(ENGINES)}; default all of these; paper:20 for the first 20 pairs only",
    )  # fmt: skip
    add_pairs(sub, 200)
    add_setting(sub)
    sub = group.command("paired", paired, "drag a sample to a slightly different one")
    sub.set_defaults(evaluation="paired")
    add_engines(sub)
    add_pairs(sub, 200)
    add_setting(sub)
    sub = group.command("ablate", ablate, "change one option of the default engine at a time")
    sub.set_defaults(evaluation="ablate")
    sub.add_argument(
        "--parts", default=",".join(PARTS), metavar="PART,PART",
        type=partial(parse_counted, PARTS),
        help=f"what is changed: {', '.join(PARTS)}; default all of these; block:20 for the first "
        "20 pairs only",
    )  # fmt: skip
    add_pairs(sub, 100)
    add_setting(sub)
    sub = group.command("photos", photos, "drag the inverted faces of photographs")
    sub.set_defaults(evaluation="photos")
    sub.add_argument("--dir", type=Path, required=True, metavar="DIR", help="folder of photos")
    sub.add_argument("--quality", choices=tuple(QUALITIES), default="balanced", help="%(default)s")
    sub.add_argument(
        "--presets", type=parse_presets, default=DRAGS, metavar="NAME,NAME",
        help=f"what is dragged: {', '.join(PRESETS)}; default {','.join(DRAGS)}",
    )  # fmt: skip
    add_identity(sub)
    add_engines(sub, ("default",))
    add_setting(sub)
    sub = group.command("edits", edits, "drag each part of inverted faces: twelve standard edits")
    sub.set_defaults(evaluation="edits")
    add_set(sub, 40)
    sub.add_argument("--quality", choices=tuple(QUALITIES), default="balanced", help="%(default)s")
    sub.add_argument(
        "--engines", default="default", metavar="NAME,NAME",
        type=partial(parse_counted, tuple(ENGINES)),
        help=f"{', '.join(ENGINES)}; default %(default)s; reference:8 for eight of the pictures "
        "only, evenly spread",
    )  # fmt: skip
    add_identity(sub)
    add_setting(sub)
    sub = group.command("samples", samples, "compare a generator's samples with portraits")
    sub.set_defaults(evaluation="samples")
    sub.add_argument(
        "--set", required=True, metavar=f"DIR|{PORTRAITS}",
        help=f"folder of aligned portraits with index.json; {PORTRAITS} is what "
        f"{PORTRAITS_VARIABLE} names",
    )  # fmt: skip
    sub.add_argument(
        "--psi", type=parse_psis, default=(0.7, 1.0), metavar="N,N",
        help="truncations of the samples; default 0.7,1",
    )  # fmt: skip
    sub.add_argument(
        "--count", type=parse_count, default=256, metavar="N",
        help="samples at each of them; default %(default)s",
    )  # fmt: skip
    add_setting(sub)
    sub = group.command("inversion", inversion, "invert pictures at every quality, and edit them")
    sub.set_defaults(evaluation="inversion")
    add_set(sub)
    sub.add_argument(
        "--quality", type=parse_qualities, default=tuple(QUALITIES), metavar="NAME,NAME",
        help=f"{', '.join(QUALITIES)}; default all of these",
    )  # fmt: skip
    sub.add_argument(
        "--yardstick-count", type=parse_count, metavar="N",
        help="pictures at the last of these, with which the others are compared; default all",
    )  # fmt: skip
    add_identity(sub)
    add_setting(sub)


def landmarks(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag samples' landmarks to those of other samples."""
    repeat = {
        "--points": _join_counted(args.points),
        "--engines": _join_counted(args.engines),
        "--pairs": args.pairs,
    }
    setting = read_setting(args, repeat)
    evaluation = evaluate_landmarks(
        setting,
        points=_counts(args.points, args.pairs),
        engines=_counts(args.engines, args.pairs),
        watch=console.watch,
    )
    return show(setting, evaluation)


def paired(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag samples to slightly different ones along the optical flow."""
    setting = read_setting(args, {"--engines": ",".join(args.engines), "--pairs": args.pairs})
    engines = {
        name: replace(engine, max_steps=min(engine.max_steps, PAIRED_STEPS))
        for name, engine in ENGINES.items()
        if name in args.engines
    }
    evaluation = evaluate_paired(setting, engines, pairs=args.pairs, watch=console.watch)
    return show(setting, evaluation)


def ablate(args: argparse.Namespace, console: Console) -> Outcome:
    """Change one option of the default engine at a time."""
    setting = read_setting(args, {"--parts": _join_counted(args.parts), "--pairs": args.pairs})
    parts = _counts(args.parts, args.pairs)
    return show(setting, evaluate_ablation(setting, parts=parts, watch=console.watch))


def photos(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag the inverted faces of a folder's photos."""
    repeat = {
        "--dir": args.dir.name,
        "--quality": args.quality,
        "--presets": ",".join(args.presets),
        "--engines": ",".join(args.engines),
    }
    setting = read_setting(args, repeat)
    evaluation = evaluate_photos(
        setting,
        args.engines,
        folder=args.dir,
        quality=args.quality,
        presets=args.presets,
        identity=args.identity,
        watch=console.watch,
    )
    return show(setting, evaluation)


def edits(args: argparse.Namespace, console: Console) -> Outcome:
    """Make the twelve standard edits on inverted pictures."""
    folder = find_set(args.set)
    name = set_name(args, folder)
    repeat = {
        "--set": name,
        "--count": args.count,
        "--quality": args.quality,
        "--engines": _join_counted(args.engines),
    }
    setting = read_setting(args, repeat)
    evaluation = evaluate_edits(
        setting,
        chosen=folder,
        name=name,
        quality=args.quality,
        engines=args.engines,
        count=args.count,
        identity=args.identity,
        watch=console.watch,
    )
    return show(setting, evaluation)


def samples(args: argparse.Namespace, console: Console) -> Outcome:
    """Compare a generator's samples with the portraits that it learnt from and with others."""
    folder = find_set(args.set)
    repeat = {
        "--set": set_name(args, folder),
        "--psi": ",".join(f"{psi:g}" for psi in args.psi),
        "--count": args.count,
    }
    setting = read_setting(args, repeat)
    evaluation = evaluate_samples(
        setting, chosen=folder, count=args.count, psis=args.psi, watch=console.watch
    )
    return show(setting, evaluation)


def inversion(args: argparse.Namespace, console: Console) -> Outcome:
    """Invert pictures at every quality, and edit them."""
    folder = find_set(args.set)
    name = set_name(args, folder)
    repeat = {
        "--set": name,
        "--quality": ",".join(args.quality),
        "--count": args.count,
        "--yardstick-count": args.yardstick_count,
    }
    setting = read_setting(args, repeat)
    evaluation = evaluate_inversion(
        setting,
        chosen=folder,
        name=name,
        qualities=args.quality,
        count=args.count,
        yardstick_count=args.yardstick_count,
        identity=args.identity,
        watch=console.watch,
    )
    return show(setting, evaluation)


def set_name(args: argparse.Namespace, folder: Path) -> str:
    """What to call the chosen pictures."""
    return PORTRAITS if args.set == PORTRAITS else folder.name


def add_set(sub: argparse.ArgumentParser, count: int | None = None) -> None:
    """Add the choice of pictures, and how many of them."""
    sub.add_argument(
        "--set", required=True, metavar=f"DIR|{PORTRAITS}",
        help=f"folder of photos or of aligned portraits; {PORTRAITS} is what {PORTRAITS_VARIABLE} "
        "names",
    )  # fmt: skip
    sub.add_argument(
        "--count", type=parse_count, default=count, metavar="N",
        help=f"so many pictures, evenly spread; default {'all' if count is None else count}",
    )  # fmt: skip


def add_identity(sub: argparse.ArgumentParser) -> None:
    """Add the choice of the identity network."""
    sub.add_argument(
        "--identity", type=Path, metavar="FILE",
        help=f"MobileFaceNet's parameters; default what {IDENTITY_VARIABLE} names",
    )  # fmt: skip


def add_engines(sub: argparse.ArgumentParser, default: tuple[str, ...] = tuple(ENGINES)) -> None:
    """Add the choice of engines."""
    sub.add_argument(
        "--engines", type=parse_engines, default=default, metavar="NAME,NAME",
        help=f"{', '.join(ENGINES)}; default {','.join(default)}",
    )  # fmt: skip


def add_pairs(sub: argparse.ArgumentParser, default: int) -> None:
    """Add the number of pairs."""
    sub.add_argument(
        "--pairs", type=parse_count, default=default, metavar="N", help="default %(default)s"
    )


def parse_count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def parse_psis(text: str) -> tuple[float, ...]:
    """Truncations from 0 to 2 with commas between."""
    try:
        psis = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        psis = (math.nan,)
    if not all(0 <= psi <= 2 for psi in psis):
        raise argparse.ArgumentTypeError(f"{text!r} are no numbers from 0 to 2 with commas between")
    return psis


def parse_counted(known: tuple[str, ...], text: str) -> dict[str, int | None]:
    """Known names with commas between, each perhaps with a colon and a number."""
    counted: dict[str, int | None] = {}
    for part in text.split(","):
        name, colon, count = part.strip().partition(":")
        (name,) = _parse_names(name, known)
        counted[name] = parse_count(count) if colon else None
    return counted


def _counts(counted: Mapping[str, int | None], pairs: int) -> dict[str, int]:
    return {name: min(count or pairs, pairs) for name, count in counted.items()}


def _join_counted(counted: Mapping[str, int | None]) -> str:
    return ",".join(name if count is None else f"{name}:{count}" for name, count in counted.items())


def parse_engines(text: str) -> tuple[str, ...]:
    """Names of engines with commas between."""
    return _parse_names(text, tuple(ENGINES))


def parse_presets(text: str) -> tuple[str, ...]:
    """Names of presets with commas between."""
    return _parse_names(text, tuple(PRESETS))


def parse_qualities(text: str) -> tuple[str, ...]:
    """Names of qualities with commas between."""
    return _parse_names(text, tuple(QUALITIES))


def _parse_names(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
    return names


def add_setting(sub: argparse.ArgumentParser) -> None:
    """Add what all evaluations are told."""
    sub.add_argument(
        "-o", "--output", type=Path, metavar="DIR", default=Path("photodrag-evaluation"),
        help="folder for measurements and tables; the same command goes on there; "
        "default %(default)s",
    )  # fmt: skip
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    sub.add_argument(
        "--jobs", type=parse_count, default=1, metavar="N", help="processes; default %(default)s"
    )
    flags.add_networks(sub)


def read_setting(args: argparse.Namespace, repeat: Mapping[str, object]) -> Setting:
    """Turn arguments into a setting.

    Args:
        args: with the flags of `add_setting`.
        repeat: the evaluation's own flags and values, for the command line on its page; those that
            are None are left out.
    """
    said = ["photodrag", "evaluate", args.evaluation]
    for flag, value in {**repeat, "--seed": args.seed, "--generator": args.generator}.items():
        said += [] if value is None else [flag, str(value)]
    return Setting(
        folder=args.output,
        command=shlex.join(said),
        generator=args.generator,
        device=args.device,
        finder=args.finder,
        seed=args.seed,
        jobs=args.jobs,
    )


def show(setting: Setting, evaluation: Evaluation) -> Outcome:
    """Write an evaluation's files and give its page."""
    record = finish(setting, evaluation)
    return Outcome(text=to_page(evaluation, str(record["machine"])), record=record)
