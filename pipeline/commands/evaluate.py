"""Commands that measure photodrag against published protocols: `evaluate`."""

import argparse
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
from pipeline.commands.lists import (
    at_most,
    join_counted,
    parse_count,
    parse_counted,
    parse_names,
    parse_psis,
    parse_seed,
)
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
    evaluations = (
        ("landmarks", landmarks, _add_landmarks, "drag samples' landmarks to those of others"),
        ("paired", paired, _add_paired, "drag a sample to a slightly different one"),
        ("ablate", ablate, _add_ablate, "change one option of the default engine at a time"),
        ("photos", photos, _add_photos, "drag the inverted faces of photographs"),
        ("edits", edits, _add_edits, "drag each part of inverted faces: twelve standard edits"),
        ("samples", samples, _add_samples, "compare a generator's samples with portraits"),
        ("inversion", inversion, _add_inversion, "invert pictures at every quality, and edit them"),
    )
    for name, command, add_flags, what in evaluations:
        sub = group.command(name, command, what)
        sub.set_defaults(evaluation=name)
        add_flags(sub)
        _add_setting(sub)


def _add_landmarks(sub: argparse.ArgumentParser) -> None:
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
    _add_pairs(sub, 200)


def landmarks(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag samples' landmarks to those of other samples."""
    repeat = {
        "--points": join_counted(args.points),
        "--engines": join_counted(args.engines),
        "--pairs": args.pairs,
    }
    setting = _read_setting(args, repeat)
    evaluation = evaluate_landmarks(
        setting,
        points=at_most(args.points, args.pairs),
        engines=at_most(args.engines, args.pairs),
        watch=console.watch,
    )
    return _show(setting, evaluation)


def _add_paired(sub: argparse.ArgumentParser) -> None:
    _add_engines(sub, tuple(ENGINES))
    _add_pairs(sub, 200)


def paired(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag samples to slightly different ones along the optical flow."""
    setting = _read_setting(args, {"--engines": ",".join(args.engines), "--pairs": args.pairs})
    engines = {
        name: replace(engine, max_steps=min(engine.max_steps, PAIRED_STEPS))
        for name, engine in ENGINES.items()
        if name in args.engines
    }
    evaluation = evaluate_paired(setting, engines, pairs=args.pairs, watch=console.watch)
    return _show(setting, evaluation)


def _add_ablate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--parts", default=",".join(PARTS), metavar="PART,PART",
        type=partial(parse_counted, PARTS),
        help=f"what is changed: {', '.join(PARTS)}; default all of these; block:20 for the first "
        "20 pairs only",
    )  # fmt: skip
    _add_pairs(sub, 100)


def ablate(args: argparse.Namespace, console: Console) -> Outcome:
    """Change one option of the default engine at a time."""
    setting = _read_setting(args, {"--parts": join_counted(args.parts), "--pairs": args.pairs})
    parts = at_most(args.parts, args.pairs)
    return _show(setting, evaluate_ablation(setting, parts=parts, watch=console.watch))


def _add_photos(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--dir", type=Path, required=True, metavar="DIR", help="folder of photos")
    _add_quality(sub)
    sub.add_argument(
        "--presets", type=partial(parse_names, tuple(PRESETS)), default=DRAGS, metavar="NAME,NAME",
        help=f"what is dragged: {', '.join(PRESETS)}; default {','.join(DRAGS)}",
    )  # fmt: skip
    _add_identity(sub)
    _add_engines(sub, ("default",))


def photos(args: argparse.Namespace, console: Console) -> Outcome:
    """Drag the inverted faces of a folder's photos."""
    repeat = {
        "--dir": args.dir.name,
        "--quality": args.quality,
        "--presets": ",".join(args.presets),
        "--engines": ",".join(args.engines),
    }
    setting = _read_setting(args, repeat)
    evaluation = evaluate_photos(
        setting,
        args.engines,
        folder=args.dir,
        quality=args.quality,
        presets=args.presets,
        watch=console.watch,
    )
    return _show(setting, evaluation)


def _add_edits(sub: argparse.ArgumentParser) -> None:
    _add_set(sub, 40)
    _add_quality(sub)
    sub.add_argument(
        "--engines", default="default", metavar="NAME,NAME",
        type=partial(parse_counted, tuple(ENGINES)),
        help=f"{', '.join(ENGINES)}; default %(default)s; reference:8 for eight of the pictures "
        "only, evenly spread",
    )  # fmt: skip
    _add_identity(sub)


def edits(args: argparse.Namespace, console: Console) -> Outcome:
    """Make the twelve standard edits on inverted pictures."""
    chosen = find_set(args.set, args.count)
    repeat = {
        "--set": chosen.name,
        "--count": args.count,
        "--quality": args.quality,
        "--engines": join_counted(args.engines),
    }
    setting = _read_setting(args, repeat)
    evaluation = evaluate_edits(
        setting, chosen, quality=args.quality, engines=args.engines, watch=console.watch
    )
    return _show(setting, evaluation)


def _add_samples(sub: argparse.ArgumentParser) -> None:
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


def samples(args: argparse.Namespace, console: Console) -> Outcome:
    """Compare a generator's samples with the portraits that it learnt from and with others."""
    chosen = find_set(args.set)
    psis = ",".join(f"{psi:g}" for psi in args.psi)
    setting = _read_setting(args, {"--set": chosen.name, "--psi": psis, "--count": args.count})
    evaluation = evaluate_samples(
        setting, chosen=chosen.folder, count=args.count, psis=args.psi, watch=console.watch
    )
    return _show(setting, evaluation)


def _add_inversion(sub: argparse.ArgumentParser) -> None:
    _add_set(sub, None)
    sub.add_argument(
        "--quality", type=partial(parse_names, tuple(QUALITIES)), default=tuple(QUALITIES),
        metavar="NAME,NAME", help=f"{', '.join(QUALITIES)}; default all of these",
    )  # fmt: skip
    sub.add_argument(
        "--yardstick-count", type=parse_count, metavar="N",
        help="pictures at the last of these, with which the others are compared; default all",
    )  # fmt: skip
    _add_identity(sub)


def inversion(args: argparse.Namespace, console: Console) -> Outcome:
    """Invert pictures at every quality, and edit them."""
    chosen = find_set(args.set, args.count)
    repeat = {
        "--set": chosen.name,
        "--quality": ",".join(args.quality),
        "--count": args.count,
        "--yardstick-count": args.yardstick_count,
    }
    setting = _read_setting(args, repeat)
    evaluation = evaluate_inversion(
        setting,
        chosen,
        qualities=args.quality,
        yardstick_count=args.yardstick_count,
        watch=console.watch,
    )
    return _show(setting, evaluation)


def _add_set(sub: argparse.ArgumentParser, count: int | None) -> None:
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


def _add_quality(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--quality", choices=tuple(QUALITIES), default="balanced", help="default %(default)s"
    )


def _add_identity(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--identity", type=Path, metavar="FILE",
        help=f"MobileFaceNet's parameters; default what {IDENTITY_VARIABLE} names",
    )  # fmt: skip


def _add_engines(sub: argparse.ArgumentParser, default: tuple[str, ...]) -> None:
    sub.add_argument(
        "--engines", type=partial(parse_names, tuple(ENGINES)), default=default,
        metavar="NAME,NAME", help=f"{', '.join(ENGINES)}; default {','.join(default)}",
    )  # fmt: skip


def _add_pairs(sub: argparse.ArgumentParser, default: int) -> None:
    sub.add_argument(
        "--pairs", type=parse_count, default=default, metavar="N", help="default %(default)s"
    )


def _add_setting(sub: argparse.ArgumentParser) -> None:
    """Add what all evaluations are told."""
    sub.add_argument(
        "-o", "--output", type=Path, metavar="DIR", default=Path("photodrag-evaluation"),
        help="folder for measurements and tables; the same command goes on there; "
        "default %(default)s",
    )  # fmt: skip
    sub.add_argument("--seed", type=parse_seed, default=0, metavar="N", help="default %(default)s")
    sub.add_argument(
        "--jobs", type=parse_count, default=1, metavar="N", help="processes; default %(default)s"
    )
    flags.add_networks(sub)


def _read_setting(args: argparse.Namespace, repeat: Mapping[str, object]) -> Setting:
    """Turn arguments into a setting.

    Args:
        args: with the flags of `_add_setting`.
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
        identity=vars(args).get("identity"),
    )


def _show(setting: Setting, evaluation: Evaluation) -> Outcome:
    """Write an evaluation's files and give its page."""
    record = finish(setting, evaluation)
    return Outcome(text=to_page(evaluation, str(record["machine"])), record=record)
