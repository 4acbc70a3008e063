"""Commands that take one stage each over the same session: align, invert, drag, composite."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from pipeline.commands import flags
from pipeline.commands.arguments import parse_request
from pipeline.commands.console import Adding, Console, Outcome, announcing, load, save
from pipeline.composite import composite as carry_over
from pipeline.edit import SessionPlace, check_request, drag_face, invert_face, open_for, restrict
from pipeline.errors import SessionError
from pipeline.models import Models
from pipeline.photo import Photo, check_output, read_photo
from pipeline.session import Session, open_session
from pipeline.stored import keep_edit, recall_crop, recall_edit, recall_inversion
from pipeline.subject import choose_face, cut_face, detect


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    sub = adding.command("align", align, "stage 1: find and cut out a face, in a session")
    flags.add_photo(sub)
    flags.add_session(sub)
    flags.add_face(sub)
    flags.add_networks(sub)
    flags.add_effort(sub)

    sub = adding.command("invert", invert, "stage 2: invert the session's face")
    flags.add_session(sub)
    flags.add_effort(sub, of_session=True)
    flags.add_place(sub)

    sub = adding.command("drag", drag, "stage 3: edit the session's inversion")
    flags.add_session(sub)
    flags.add_request(sub)
    flags.add_place(sub)

    sub = adding.command("composite", composite, "stage 4: carry an edit over to the photo")
    flags.add_session(sub)
    flags.add_output(sub)
    sub.add_argument("--edit", type=int, metavar="N", help="number of the edit; default the latest")
    flags.add_place(sub)


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
