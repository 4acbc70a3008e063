"""Commands about the networks on this machine and those that could be."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from pipeline.commands import flags
from pipeline.commands.console import Adding, Console, Outcome
from pipeline.commands.encoder import add_train_encoder
from pipeline.commands.training import add_train
from pipeline.session import Json
from weights.acquire import fetch_weights, fetchable, import_weights
from weights.builtin import builtin_models
from weights.cache import (
    Record,
    cache_folder,
    find_record,
    list_records,
    part_of,
    remove_record,
    verify_record,
)
from weights.catalogue import BETTER_FACES, Domain, Entry, megabytes, read_catalogue
from weights.errors import BrokenWeightsError, MissingWeightsError
from weights.store import find_weights


def add_commands(adding: Adding) -> None:
    """Describe the commands and their flags."""
    group = adding.group("weights", "the networks on this machine, and more of them")
    sub = group.command("list", weights_list, "list the networks that are here or can be fetched")
    flags.add_cache(sub)
    sub = group.command("fetch", weights_fetch, "download a network of the catalogue and check it")
    sub.add_argument("name", metavar="NAME", help="its name in the catalogue")
    flags.add_cache(sub)
    sub = group.command("import", weights_import, "convert a generator's file once, under a name")
    sub.add_argument("file", type=Path, metavar="FILE", help="a .pkl, .pt or .safetensors file")
    sub.add_argument("--name", required=True, metavar="NAME", help="what to call it")
    sub.add_argument(
        "--domain", choices=get_args(Domain),
        help="aligned faces, or whole photos without a face finder; default as far as known, face",
    )  # fmt: skip
    sub.add_argument("--licence", metavar="TEXT", help="terms of its use, kept with it")
    flags.add_cache(sub)
    sub = group.command("verify", weights_verify, "hash fetched and imported networks again")
    sub.add_argument("name", nargs="?", metavar="NAME", help="default all of them")
    flags.add_cache(sub)
    sub = group.command("path", weights_path, "say where a network lies")
    sub.add_argument("name", nargs="?", metavar="NAME", help="default the folder of all of them")
    flags.add_cache(sub)
    sub = group.command("remove", weights_remove, "delete a fetched or imported network")
    sub.add_argument("name", metavar="NAME", help="its name")
    flags.add_cache(sub)
    add_train(group)
    add_train_encoder(group)


def weights_list(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """List the networks that come along, that are here, and that can be fetched."""
    builtin, records = builtin_models(), list_records()
    missing = [e for e in read_catalogue().values() if e.name not in {r.name for r in records}]
    lines = ["built in:"]
    lines += [_line(m.name, m.kind, megabytes(m.bytes), m.what) for m in builtin]
    lines += ["", f"in {cache_folder()}:" if records else f"nothing in {cache_folder()}"]
    lines += [_line(r.name, r.kind, megabytes(r.bytes), _join(r.what, r.licence)) for r in records]
    lines += ["", "photodrag weights fetch NAME brings:"]
    lines += [_line(e.name, e.kind, e.size, _describe(e)) for e in missing]
    offer = offer_better_faces()
    lines += ["", offer] if offer else []
    rows: list[Json] = [
        *({"state": "built in", **asdict(model)} for model in builtin),
        *({"state": "here", **asdict(record)} for record in records),
        *({"state": "can be fetched", **asdict(entry)} for entry in missing),
    ]
    record: Json = {"weights": rows, "folder": str(cache_folder()), "offer": offer}
    return Outcome(text="\n".join(lines), record=record)


def weights_fetch(args: argparse.Namespace, console: Console) -> Outcome:
    """Download a network of the catalogue and check it."""
    entry = fetchable(args.name)
    known = find_record(entry.name)
    if known is None:
        if not part_of(entry.name).is_file():
            console.say(f"{entry.name}: {entry.what}; {entry.terms}; {entry.source}")
        if entry.hash != "full":
            console.say(
                f"nobody published {'the whole' if entry.sha256 else 'a'} SHA-256 of {entry.name}: "
                "that of this download is recorded, and later ones must equal it"
            )
        console.download(fetch_weights(entry), stage=entry.name)
    record = find_record(entry.name)
    if record is None:
        raise MissingWeightsError(f"{entry.name} was removed while it was fetched: fetch it again")
    return _tell(record, "was here already" if known else "fetched")


def weights_import(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Convert a generator's file once, under a name."""
    record = import_weights(args.file, name=args.name, domain=args.domain, licence=args.licence)
    return _tell(record, "imported")


def weights_verify(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Hash fetched and imported networks again."""
    records = list_records() if args.name is None else [_find(args.name)]
    broken: list[str] = []
    for record in records:
        try:
            verify_record(record)
        except BrokenWeightsError as error:
            broken.append(str(error))
    if broken:
        raise BrokenWeightsError("; ".join(broken))
    names = [record.name for record in records]
    text = f"{', '.join(names)}: as recorded" if names else f"nothing in {cache_folder()}"
    return Outcome(text=text, record={"verified": names})


def weights_path(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Say where a network, or the folder of all of them, lies."""
    path = cache_folder() if args.name is None else find_weights(args.name)
    return Outcome(text=str(path), record={"path": str(path)})


def weights_remove(args: argparse.Namespace, console: Console) -> Outcome:  # noqa: ARG001
    """Delete a fetched or imported network."""
    gone = [str(path) for path in remove_record(args.name)]
    return Outcome(text=f"removed {', '.join(gone)}", record={"removed": gone})


def offer_better_faces() -> str | None:
    """Say in one line how to get a better generator of faces, unless it is here."""
    if find_record(BETTER_FACES) is not None:
        return None
    entry = read_catalogue()[BETTER_FACES]
    return (
        f"sharper faces than the built-in generator's: photodrag weights fetch {entry.name} "
        f"({entry.size}; {entry.terms})"
    )


def _find(name: str) -> Record:
    record = find_record(name)
    if record is None:
        raise MissingWeightsError(
            f"{name} was neither fetched nor imported: photodrag weights list shows what is here"
        )
    return record


def _tell(record: Record, done: str) -> Outcome:
    text = f"{record.name}: {done}, {record.path}, {megabytes(record.bytes)}"
    return Outcome(text=text, record=asdict(record))


def _describe(entry: Entry) -> str:
    part = part_of(entry.name)
    state = f"{megabytes(part.stat().st_size)} have come" if part.is_file() else ""
    return _join(entry.what, entry.resolution or "", entry.terms, state)


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _line(*columns: str) -> str:
    name, kind, size, text = columns
    return f"  {name:23} {kind:11} {size:>12}  {text}"
