"""What each command does: from parsed arguments to an `Outcome`; nothing is printed here."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from editing.presets import PRESETS as PRESET_TABLE
from editing.regions import REGIONS as REGION_TABLE
from inversion.invert import QUALITIES as QUALITY_TABLE
from pipeline import bench as benches
from pipeline import demo as demonstration
from pipeline.arguments import check_outputs, parse_request
from pipeline.composite import composite as carry_over
from pipeline.edit import (
    SessionPlace,
    Watch,
    check_request,
    drag_face,
    edit_photo,
    invert_face,
    open_for,
    restrict,
)
from pipeline.errors import SessionError
from pipeline.faces import Face, find_faces
from pipeline.frames import compose_frames, save_frames
from pipeline.models import Models, choose_device, load_models
from pipeline.photo import Photo, check_output, read_photo, save_photo
from pipeline.report import describe_edit, list_faces
from pipeline.session import Json, Session, open_session, write_atomically, write_json
from pipeline.stored import keep_edit, recall_crop, recall_edit, recall_inversion
from pipeline.subject import choose_face, cut_face, describe_faces, detect
from weights.perceptual import TRUNK_VARIABLE
from weights.store import builtin_models

Step = TypeVar("Step")

PRESETS, REGIONS, QUALITIES = tuple(PRESET_TABLE), tuple(REGION_TABLE), tuple(QUALITY_TABLE)


@dataclass(frozen=True, kw_only=True)
class Console:
    """How a command shows that it is alive: progress of its stages, and remarks."""

    watch: Watch
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command prints: text for people, or a JSON object."""

    text: str
    record: Json


def faces(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """List the faces of a photo, and draw them if asked."""
    if args.output is not None:
        check_output(args.output, source=args.photo, overwrite=args.overwrite)
    photo = read_photo(args.photo)
    found = find_faces(photo.rgb(), finder=args.finder, device=choose_device(args.device))
    if args.output is not None:
        picture = draw_faces(photo, found)
        kind = Image.registered_extensions()[args.output.suffix.lower()]
        write_atomically(args.output, lambda path: picture.save(path, format=kind))
    lines = [describe_faces(found) if found else "no face found"]
    lines += [
        f"{face.index}: box {', '.join(f'{x:.0f}' for x in face.box)}; score {face.score:.2f}"
        for face in found
    ]
    return Outcome(text="\n".join(lines), record={"faces": list_faces(found)})


def edit(args: argparse.Namespace, console: Console) -> Outcome:
    """Take the whole way from photo to photo."""
    photo = read_photo(args.photo)
    check_outputs(args)
    request = parse_request(args)
    check_request(photo, request)
    models = load(args)
    done = edit_photo(
        photo,
        request,
        models=models,
        face=args.face,
        quality=args.quality,
        seed=args.seed,
        session=SessionPlace(folder=args.session, photo=args.photo) if args.session else None,
        watch=announcing(console, models),
    )
    if args.face is None and len(done.faces) > 1:
        console.say(
            f"edited face {done.face.index} of {describe_faces(done.faces)}; --face chooses another"
        )
    notes = save(done.photo, args, console, changed=done.changed_pixels)
    if args.frames is not None:
        save_frames(args.frames, compose_frames(photo, done), done)
    report = describe_edit(done, models, quality=args.quality, seed=args.seed, notes=notes)
    if args.report is not None:
        write_atomically(args.report, lambda path: write_json(path, report))
    if done.edited is None:
        return Outcome(text=f"{args.output}: the edit moves nothing; same pixels", record=report)
    text = (
        f"{args.output}: face {done.face.index}, {done.changed_pixels} pixels changed, "
        f"drag {done.edited.result.stopped} after {done.edited.result.steps} steps, "
        f"{done.seconds:.0f} s"
    )
    return Outcome(text=text, record=report)


def align(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Find, align and keep a face."""
    photo, models = read_photo(args.photo), load(args)
    found = detect(photo, models)
    face = choose_face(found, args.face)
    crop = cut_face(photo, face, models.generator.config.resolution)
    place = SessionPlace(folder=args.session, photo=args.photo)
    open_for(place, photo, found, face, crop, models, args.quality, args.seed)
    text = f"{args.session}: face {face.index} of {len(found)}, {crop.alignment.size:.0f} px wide"
    return Outcome(text=text, record={"face": face.index, "alignment": asdict(crop.alignment)})


def invert(args: argparse.Namespace, console: Console) -> Outcome:
    """Invert the session's face, unless that was done with the same settings."""
    session, photo, models = _reopen(args)
    given = {"quality": args.quality, "seed": args.seed}
    settings = replace(session.settings, **{k: v for k, v in given.items() if v is not None})
    session = session.with_settings(settings)
    face, alignment = recall_crop(session)
    crop = cut_face(photo, face, alignment.resolution)
    inversion, done = invert_face(
        crop, models, settings.quality, settings.seed, session, announcing(console, models)
    )
    report = inversion.report
    text = (
        f"{args.session}: inverted in {report.seconds:.0f} s, {report.psnr:.1f} dB, "
        f"{report.perceptual_name} {report.perceptual:.3f}{'' if done else ' (done before)'}"
    )
    return Outcome(text=text, record={**report.to_json(), "reused": not done})


def drag(args: argparse.Namespace, console: Console) -> Outcome:
    """Edit the session's inversion and keep the edit."""
    session, photo, models = _reopen(args)
    request = parse_request(args)
    check_request(photo, request)
    face, alignment = recall_crop(session)
    spec = request.to_spec(face, alignment)
    inversion = recall_inversion(session, models.generator)
    if inversion is None:
        raise SessionError(
            f"{args.session} has no inversion: run photodrag invert --session {args.session} first"
        )
    result, _ = drag_face(inversion, spec, console.watch)
    number = max(keep_edit(session, request, spec, result).edits)
    text = f"{args.session}: edit {number}, {result.stopped} after {result.steps} steps"
    return Outcome(text=text, record={"edit": number, "stopped": result.stopped})


def composite(args: argparse.Namespace, console: Console) -> Outcome:
    """Carry an edit of the session over to its photo."""
    session, photo, models = _reopen(args)
    check_output(args.output, source=session.photo, overwrite=args.overwrite)
    stored, inversion = recall_edit(session, args.edit), recall_inversion(session, models.generator)
    if inversion is None:
        raise SessionError(
            f"{args.session} has lost its inversion: run photodrag invert --session {args.session}"
        )
    _, alignment = recall_crop(session)
    latents = stored.latents.to(models.device)
    composed = restrict(
        photo,
        carry_over(
            photo,
            alignment,
            inversion.render(),
            inversion.render(latents),
            stored.spec.mask,
            handles=stored.spec.handles,
            finals=stored.points,
        ),
        stored.mask,
    )
    changed = composed.report.changed_pixels
    save(composed.photo, args, console, changed=changed)
    text = f"{args.output}: edit {stored.number}, {changed} pixels changed"
    return Outcome(text=text, record={"edit": stored.number, **asdict(composed.report)})


def weights_list(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """List the networks that come with this package."""
    models = builtin_models()
    lines = [f"{model.name:28} {model.size / 1e6:6.1f} MB  {model.what}" for model in models]
    return Outcome(text="\n".join(lines), record={"weights": [asdict(model) for model in models]})


def demo(args: argparse.Namespace, console: Console) -> Outcome:
    """Edit a photograph that is already on this machine."""
    models = load(args)
    report = demonstration.run_demo(args.output, models, announcing(console, models))
    text = f"look at {args.output / demonstration.BEFORE_AFTER}"
    return Outcome(text=text, record=report)


def bench(args: argparse.Namespace, console: Console) -> Outcome:
    """Measure the stages."""
    models = load(args)
    rows = benches.run_bench(args.what, models, announcing(console, models))
    return Outcome(text=benches.to_table(rows), record={"bench": [asdict(row) for row in rows]})


def load(args: argparse.Namespace) -> Models:
    """Load the networks that the arguments name."""
    return load_models(args.generator, device=args.device, finder=args.finder)


def announcing(console: Console, models: Models) -> Watch:
    """The console's watch, which says before the first inversion that a substitute is used."""
    pending = models.perceptual.name == "builtin"

    def watch(steps: Iterable[Step], /, *, stage: str, total: int) -> Iterable[Step]:
        nonlocal pending
        if pending and stage == "invert":
            pending = False
            console.say(
                "LPIPS has no trunk on this machine, so the built-in perceptual distance is used "
                f"({TRUNK_VARIABLE} can name the trunk's file)"
            )
        return console.watch(steps, stage=stage, total=total)

    return watch


def save(
    photo: Photo, args: argparse.Namespace, console: Console, *, changed: int
) -> tuple[str, ...]:
    """Save the result, and say and return what had to be converted on the way."""
    lost = save_photo(photo, args.output, edited=changed > 0, overwrite=args.overwrite)
    notes = (*photo.notes, *lost)
    for note in notes:
        console.say(note)
    return notes


def draw_faces(photo: Photo, found: list[Face]) -> Image.Image:
    """Draw boxes, landmarks and numbers into a copy of the photo."""
    canvas = np.ascontiguousarray((photo.rgb() * 255).round().astype(np.uint8))
    for face in found:
        x0, y0, x1, y1 = (round(v) for v in face.box)
        width = max(1, (y1 - y0) // 150)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), (0, 255, 0), width)
        for x, y in face.landmarks:
            cv2.circle(canvas, (round(x - 0.5), round(y - 0.5)), width, (255, 255, 0), -1)
        place, size = (x0, max(y0 - 4, 12)), max(0.5, (y1 - y0) / 250)
        cv2.putText(canvas, str(face.index), place, 0, size, (0, 255, 0), width)
    return Image.fromarray(canvas)


def _reopen(args: argparse.Namespace) -> tuple[Session, Photo, Models]:
    session = open_session(args.session)
    args.generator = session.settings.generator
    photo = read_photo(Path(session.photo))
    if photo.sha256 != session.photo_sha256:
        raise SessionError(
            f"{session.photo} has changed since {args.session} began: start another session"
        )
    models = load(args)
    if models.sha256 != session.settings.generator_sha256:
        raise SessionError(
            f"the generator {args.generator} has changed since {args.session} began: "
            "start another session"
        )
    return session, photo, models
