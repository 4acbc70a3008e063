"""Commands that take a photo: `faces` and `edit`."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.commands import flags
from pipeline.commands.arguments import check_outputs, parse_request, read_hidden
from pipeline.commands.console import Adding, Console, Outcome, announcing, load, save, say_warnings
from pipeline.edit import SessionPlace, check_request, edit_photo
from pipeline.errors import RequestError
from pipeline.faces import Face, find_faces
from pipeline.frames import compose_frames, save_frames
from pipeline.handles import remark_on_handles
from pipeline.models import choose_device
from pipeline.photo import Photo, check_output, read_photo
from pipeline.report import describe_edit, list_faces, tell_drag
from pipeline.request import EditRequest
from pipeline.session import Json, write_atomically, write_json
from pipeline.subject import describe_faces
from pipeline.together import edit_faces


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    sub = adding.command("faces", faces, "list the faces of a photo")
    flags.add_photo(sub)
    sub.add_argument("-o", "--output", type=Path, metavar="PNG", help="draw them into a copy")
    flags.add_overwrite(sub)
    flags.add_place(sub)

    sub = adding.command("edit", edit, "edit one face or square of a photo")
    flags.add_photo(sub)
    flags.add_output(sub)
    flags.add_face(sub, several=True)
    flags.add_crop(sub)
    flags.add_request(sub)
    flags.add_engine(sub)
    flags.add_networks(sub)
    flags.add_effort(sub)
    flags.add_hidden(sub)
    sub.add_argument(
        "--session", type=Path, metavar="DIR",
        help="keep the stages here and use them again; nothing is kept without",
    )  # fmt: skip
    sub.add_argument("--frames", type=Path, metavar="GIF|MP4|DIR", help="save the drag as pictures")
    sub.add_argument("--report", type=Path, metavar="JSON", help="write everything measured")


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
    for remark in request.remarks:
        console.say(remark)
    if len(args.face or ()) > 1:
        return _edit_several(photo, request, args, console)
    models = load(args)
    done = edit_photo(
        photo,
        request,
        models=models,
        face=args.face[0] if args.face else None,
        square=args.crop,
        quality=args.quality,
        seed=args.seed,
        hidden=read_hidden(args),
        session=_place(args),
        watch=announcing(console, models),
    )
    if args.face is None and len(done.selection.faces) > 1:
        console.say(
            f"edited {done.selection.name} of {describe_faces(done.selection.faces)}; "
            "--face chooses another"
        )
    if done.edited is not None:
        say_warnings(done.edited.inversion, done.selection.name, console)
    remarks = remark_on_handles(request.drags, done.crop.image, done.crop.alignment)
    for remark in remarks:
        console.say(remark)
    notes = [*remarks, *save(done.photo, args, console, changed=done.changed_pixels)]
    if args.frames is not None:
        save_frames(args.frames, compose_frames(photo, done), done)
    report = describe_edit(done, models, quality=args.quality, seed=args.seed, notes=notes)
    if args.report is not None:
        write_atomically(args.report, lambda path: write_json(path, report))
    if done.edited is None:
        return Outcome(text=f"{args.output}: the edit moves nothing; same pixels", record=report)
    text = (
        f"{args.output}: {done.selection.name}, {done.changed_pixels} pixels changed, "
        f"{tell_drag(done.spec, done.edited.result)}, {done.seconds:.0f} s"
    )
    return Outcome(text=text, record=report)


def _edit_several(
    photo: Photo, request: EditRequest, args: argparse.Namespace, console: Console
) -> Outcome:
    """Edit several faces alike; the report holds one of the usual kind for each."""
    if args.crop is not None or args.frames is not None:
        raise RequestError("several faces are edited at once: leave out --crop and --frames")
    models = load(args)
    done = edit_faces(
        photo,
        request,
        models=models,
        faces=args.face,
        quality=args.quality,
        seed=args.seed,
        hidden=read_hidden(args),
        session=_place(args),
        watch=announcing(console, models),
    )
    for each in done:
        if each.edited is not None:
            say_warnings(each.edited.inversion, each.selection.name, console)
    changed = sum(each.changed_pixels for each in done)
    notes = save(done[-1].photo, args, console, changed=changed)
    report: Json = {
        "request": request.to_json(),
        "edits": [
            describe_edit(each, models, quality=args.quality, seed=args.seed, notes=notes)
            for each in done
        ],
    }
    if args.report is not None:
        write_atomically(args.report, lambda path: write_json(path, report))
    names = ", ".join(each.selection.name for each in done)
    text = f"{args.output}: {names}, {changed} pixels changed, {done[-1].seconds:.0f} s"
    return Outcome(text=text, record=report)


def _place(args: argparse.Namespace) -> SessionPlace | None:
    return SessionPlace(folder=args.session, photo=args.photo) if args.session else None


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
