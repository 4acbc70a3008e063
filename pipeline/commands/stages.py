"""Commands that take one stage each over the same session: align, invert, drag, composite."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from editing.closing import closed_over
from editing.render import render_edit
from pipeline import history
from pipeline.commands import flags
from pipeline.commands.arguments import parse_request, read_hidden
from pipeline.commands.console import Adding, Console, Outcome, announcing, load, save, say_warnings
from pipeline.composite import composite as carry_over
from pipeline.edit import (
    SessionPlace,
    check_request,
    drag_face,
    hidden_sha256,
    invert_face,
    open_for,
)
from pipeline.engines import engine_for
from pipeline.errors import RequestError, SessionError
from pipeline.handles import remark_on_handles
from pipeline.history import shown_edit
from pipeline.models import Models
from pipeline.photo import Photo, check_output, read_photo
from pipeline.report import tell_drag
from pipeline.request import Point
from pipeline.sequence import move_face, of_the_whole, start_from, union_of_masks
from pipeline.session import Json, Session, open_session
from pipeline.stored import SHOWN, keep_edit, recall_edit, recall_inversion, recall_selection
from pipeline.subject import cut, select
from pipeline.together import invert_photos


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    sub = adding.command("align", align, "stage 1: find and cut out a face or square, in a session")
    flags.add_photo(sub)
    flags.add_session(sub)
    flags.add_face(sub)
    flags.add_crop(sub)
    flags.add_networks(sub)
    flags.add_effort(sub)

    sub = adding.command("invert", invert, "stage 2: invert the session's crop")
    sub.add_argument(
        "photos", nargs="*", type=Path, metavar="PHOTO",
        help="with --together: photos of one person, each of which gets a session in the folder",
    )  # fmt: skip
    flags.add_session(sub)
    sub.add_argument(
        "--together", action="store_true", help="tune one generator to all of the photos"
    )
    flags.add_effort(sub, of_session=True)
    flags.add_hidden(sub)
    flags.add_networks(sub)

    sub = adding.command("drag", drag, "stage 3: edit the session's inversion")
    flags.add_session(sub)
    sub.add_argument(
        "--from", dest="parent", type=_edit_number, default=0, metavar="N",
        help="go on from edit N, on its picture, or from the one that is 'shown'; default 0, the "
        "photo as it was",
    )  # fmt: skip
    flags.add_request(sub)
    flags.add_engine(sub)
    flags.add_place(sub)

    sub = adding.command("composite", composite, "stage 4: carry an edit over to the photo")
    flags.add_session(sub)
    flags.add_output(sub)
    sub.add_argument(
        "--edit", type=int, metavar="N", help="number of the edit; default the shown one"
    )
    flags.add_place(sub)

    sub = adding.command("edits", edits, "list the edits of a session")
    flags.add_session(sub)

    sub = adding.command("undo", undo, "show the edit that the shown one goes on from")
    flags.add_session(sub)

    sub = adding.command("redo", redo, "show the newest edit that goes on from the shown one")
    flags.add_session(sub)


def align(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Find, align and keep a face."""
    photo, models = read_photo(args.photo), load(args)
    selection = select(photo, models, face=args.face, square=args.crop)
    crop = cut(photo, selection)
    place = SessionPlace(folder=args.session, photo=args.photo)
    open_for(place, photo, selection, crop, models, args.quality, args.seed)
    of = f" of {len(selection.faces)}" if selection.faces else ""
    text = f"{args.session}: {selection.name}{of}, {crop.alignment.size:.0f} px wide"
    face = None if selection.face is None else selection.face.index
    return Outcome(text=text, record={"face": face, "alignment": asdict(crop.alignment)})


def invert(args: argparse.Namespace, console: Console) -> Outcome:
    """Invert the session's face, unless that was done with the same settings."""
    if args.photos or args.together:
        return _invert_together(args, console)
    session, photo, models = _reopen(args)
    crop = cut(photo, recall_selection(session), read_hidden(args))
    given = {"quality": args.quality, "seed": args.seed, "hidden": hidden_sha256(crop)}
    settings = replace(session.settings, **{k: v for k, v in given.items() if v is not None})
    session = session.with_settings(settings)
    inversion, done = invert_face(
        crop, models, settings.quality, settings.seed, session, announcing(console, models)
    )
    say_warnings(inversion, str(args.session), console)
    report = inversion.report
    text = (
        f"{args.session}: inverted in {report.seconds:.0f} s, {report.psnr:.1f} dB, "
        f"{report.perceptual_name} {report.perceptual:.3f}{'' if done else ' (done before)'}"
    )
    return Outcome(text=text, record={**report.to_json(), "reused": not done})


def _invert_together(args: argparse.Namespace, console: Console) -> Outcome:
    """Invert photos of one person with one generator."""
    if not args.together or len(args.photos) < 2:
        raise RequestError(
            "several photos of one person are inverted with --together; for one photo, "
            f"begin with photodrag align PHOTO --session {args.session}"
        )
    if args.hidden is not None:
        raise RequestError("--hidden belongs to one photo: leave it out with --together")
    models = load(args)
    quality, seed = args.quality or "balanced", args.seed or 0
    watch = announcing(console, models)
    done = invert_photos(args.photos, args.session, models, quality, seed, watch)
    rows: list[Json] = []
    lines: list[str] = []
    for session, inversion in zip(done.sessions, done.inversions, strict=True):
        report = inversion.report
        lines.append(
            f"{session.folder}: {report.psnr:.1f} dB, {report.perceptual_name} "
            f"{report.perceptual:.3f}{' (done before)' if done.found else ''}"
        )
        record = report.to_json()
        rows.append({"session": str(session.folder), **record, "reused": done.found})
    return Outcome(text="\n".join(lines), record={"inversions": rows})


def drag(args: argparse.Namespace, console: Console) -> Outcome:
    """Edit the session's inversion and keep the edit."""
    session, photo, models = _reopen(args)
    request = parse_request(args)
    check_request(photo, request)
    for remark in request.remarks:
        console.say(remark)
    selection = recall_selection(session)
    inversion = recall_inversion(session, models)
    if inversion is None:
        raise SessionError(
            f"{args.session} has no inversion: run photodrag invert --session {args.session} first"
        )
    engine = engine_for(request.engine, request.options, request.presets, models.directions)
    if args.parent is None:
        args.parent = shown_edit(session)
    if args.parent == 0:
        picture = inversion.render()
        spec = request.to_spec(selection.face, selection.alignment)
        result, _ = drag_face(inversion, spec, engine, console.watch)
        told = tell_drag(spec, result)
    else:
        before = recall_edit(session, args.parent)
        spec = request.to_spec(move_face(selection, before, inversion), selection.alignment)
        start = start_from(before)
        result, _ = drag_face(inversion, spec, engine, console.watch, start=start)
        told = tell_drag(spec, result)
        spec = of_the_whole(spec, before, inversion)
        picture = render_edit(inversion, before.latents.to(models.device), before.movable)
        request = replace(request, mask=union_of_masks(request.mask, before.mask))
    for remark in remark_on_handles(request.drags, picture, selection.alignment):
        console.say(remark)
    number = max(keep_edit(session, request, spec, result, parent=args.parent).edits)
    text = f"{args.session}: edit {number}, {told}"
    record: Json = {"edit": number, "parent": args.parent, "stopped": result.stopped}
    return Outcome(text=text, record=record)


def edits(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """List the edits of a session, each with the one that it goes on from."""
    session = open_session(args.session)
    known = [recall_edit(session, number) for number in session.edits]
    shown = shown_edit(session)
    lines = [
        f"{edit.number}: from {edit.parent}, {edit.stopped}; {_summary(edit.request)}"
        f"{'  (shown)' if edit.number == shown else ''}"
        for edit in known
    ]
    rows = [
        {"edit": e.number, "parent": e.parent, "stopped": e.stopped, "request": e.request}
        for e in known
    ]
    text = "\n".join(lines) or "no edit yet"
    return Outcome(text=text, record={"edits": rows, "shown": shown})


def undo(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Take the shown edit back; it stays in the session."""
    return _now_shown(args, history.undo(open_session(args.session)))


def redo(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Take the last undo back."""
    return _now_shown(args, history.redo(open_session(args.session)))


def _now_shown(args: argparse.Namespace, number: int) -> Outcome:
    what = f"edit {number}" if number else "the untouched photo"
    return Outcome(text=f"{args.session}: {what} is shown", record={"shown": number})


def composite(args: argparse.Namespace, console: Console) -> Outcome:
    """Carry an edit of the session over to its photo."""
    session, photo, models = _reopen(args)
    check_output(args.output, source=session.photo, overwrite=args.overwrite)
    number = (shown_edit(session) or None) if args.edit is None else args.edit
    stored, inversion = recall_edit(session, number), recall_inversion(session, models)
    if inversion is None:
        raise SessionError(
            f"{args.session} has lost its inversion: run photodrag invert --session {args.session}"
        )
    alignment = recall_selection(session).alignment
    latents = stored.latents.to(models.device)
    composed = carry_over(
        photo,
        alignment,
        inversion.render(),
        render_edit(inversion, latents, stored.movable),
        stored.spec.mask,
        painted=stored.mask,
        handles=stored.spec.handles,
        finals=stored.points,
        covered=closed_over(stored.spec),
    )
    changed = composed.report.changed_pixels
    save(composed.photo, args, console, changed=changed)
    text = f"{args.output}: edit {stored.number}, {changed} pixels changed"
    return Outcome(text=text, record={"edit": stored.number, **asdict(composed.report)})


def _edit_number(text: str) -> int | None:
    """A number, or None for the edit that is shown; anything else is wrong usage."""
    if text == SHOWN:
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of an edit, nor {SHOWN!r}")
    return int(text)


def _summary(request: Json) -> str:
    """What was asked for, in half a line."""
    handles = cast("list[Point]", request.get("handles", []))
    presets = cast("dict[str, float]", request.get("presets", {}))
    parts = [f"{len(handles)} points"] if handles else []
    parts += [f"{name} {strength:g}" for name, strength in presets.items()]
    parts += ["an expression"] if "expression" in request else []
    return ", ".join(parts)


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
