"""The studio's addresses: files of the page, pictures, uploads, downloads and the socket."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.session import Json
from pipeline.studio.draft import read_object
from pipeline.studio.errors import (
    MessageError,
    UnknownError,
    UploadTooLargeError,
    describe,
)
from pipeline.studio.jobs import Control
from pipeline.studio.materials import expression_picture, keep_expression, keep_mask
from pipeline.studio.pages import Page
from pipeline.studio.parts import face_of, read_part
from pipeline.studio.recipefile import RecipeReader
from pipeline.studio.records import Part, PhotoRecord, Slot
from pipeline.studio.runs import keep_pictures
from pipeline.studio.studio import Studio
from pipeline.studio.viewing import Viewing
from pipeline.studio.views import MOST_UPLOAD
from weights.errors import PhotodragError

PAGE = Path(__file__).parent / "page"
LONGEST_NAME = 120
UPLOADS_AT_ONCE = 2
MOST_RECIPE = 2_000_000
"""Bytes of the largest recipe that is taken."""

_KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
_FRESH = {"Cache-Control": "no-store"}
_PART = "/photos/{photo}/faces/{face}"


def make_app(studio: Studio) -> Starlette:
    """The application below the token; `security.Guard` stands before it."""
    addresses = Addresses(studio)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        working = asyncio.create_task(studio.jobs.run())
        studio.recall()
        yield
        await studio.jobs.close()
        working.cancel()

    routes = [
        Route("/photos", addresses.add_photo, methods=["POST"]),
        Route("/photos/{photo}/picture", addresses.picture),
        Route("/photos/{photo}/window", addresses.window),
        Route("/photos/{photo}/thumbnail", addresses.thumbnail),
        Route("/photos/{photo}/recipes", addresses.read_recipe, methods=["POST"]),
        Route(_PART + "/thumbnail", addresses.part_thumbnail),
        Route(_PART + "/regions/{name}", addresses.region),
        Route(_PART + "/masks", addresses.add_mask, methods=["POST"]),
        Route(_PART + "/masks/{mask}", addresses.mask),
        Route(_PART + "/mask-files", addresses.add_mask_file, methods=["POST"]),
        Route(_PART + "/expressions", addresses.add_expression, methods=["POST"]),
        Route(_PART + "/expressions/{expression}", addresses.expression),
        Route(_PART + "/edits/{edit:int}/picture", addresses.edit_picture),
        Route(_PART + "/edits/{edit:int}/thumbnail", addresses.edit_thumbnail),
        Route("/downloads/{name}", addresses.download),
        WebSocketRoute("/socket", addresses.socket),
        Mount("/", StaticFiles(directory=PAGE, html=True, check_dir=False)),
    ]
    handlers = {PhotodragError: _refuse, HTTPException: _not_found, Exception: _refuse}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


class Addresses:
    """One method per address."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._viewing = Viewing(studio.workshop)
        self._uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def add_photo(self, request: Request) -> Response:
        """Take a photo and make it current."""
        async with self._uploads:
            content, name = await _read_body(request), _read_name(request)
            record = await run_in_threadpool(self._studio.shelf.add_photo, content, name)
        return JSONResponse(self._studio.open_photo(record))

    async def picture(self, request: Request) -> Response:
        """The photo as it is shown."""
        return FileResponse(await self._viewing.picture(self._record(request)), headers=_KEPT)

    async def window(self, request: Request) -> Response:
        """A part of the photo at 100 %."""
        text = request.query_params.get("rect", "")
        if not re.fullmatch(r"\d{1,6}(,\d{1,6}){3}", text):
            raise MessageError("rect must be x0,y0,x1,y1 in whole photo pixels")
        x0, y0, x1, y1 = map(int, text.split(","))
        content = await self._viewing.window(self._record(request), (x0, y0, x1, y1))
        return Response(content, media_type="image/jpeg", headers=_KEPT)

    async def thumbnail(self, request: Request) -> Response:
        """The photo, small."""
        return FileResponse(await self._viewing.thumbnail(self._record(request)), headers=_KEPT)

    async def read_recipe(self, request: Request) -> Response:
        """Take a recipe apart into what a page sets up."""
        async with self._uploads:
            record = self._record(request)
            content, name = await _read_body(request, MOST_RECIPE), _read_name(request)
            return JSONResponse({"edits": await self._unpack(record, content, name)})

    async def part_thumbnail(self, request: Request) -> Response:
        """A face or a square, small."""
        found = await self._viewing.part(self._record(request), self._part(request))
        return FileResponse(found, headers=_KEPT)

    async def region(self, request: Request) -> Response:
        """A region of a face as a mask."""
        content = await self._viewing.region(
            self._record(request), self._part(request), request.path_params["name"]
        )
        return Response(content, media_type="image/png", headers=_KEPT)

    async def add_mask(self, request: Request) -> Response:
        """Take a painted mask."""
        async with self._uploads:
            record, part = self._record(request), self._part(request)
            mask = await self._viewing.read_mask(record, part, await _read_body(request))
            folder = record.folder_of(part) / "masks"
            return JSONResponse({"mask": await run_in_threadpool(keep_mask, folder, mask)})

    async def add_mask_file(self, request: Request) -> Response:
        """Take a mask from a file, as large as the photo."""
        async with self._uploads:
            record, part = self._record(request), self._part(request)
            content, name = await _read_body(request), _read_name(request)
            mask = await self._viewing.import_mask(record, part, content, name)
        return JSONResponse({"mask": mask})

    async def mask(self, request: Request) -> Response:
        """A mask that was painted before."""
        record, part = self._record(request), self._part(request)
        folder = record.folder_of(part)
        content = await self._viewing.mask(record, part, folder, request.path_params["mask"])
        return Response(content, media_type="image/png", headers=_KEPT)

    async def add_expression(self, request: Request) -> Response:
        """Take another photo, whose expression is wanted."""
        async with self._uploads:
            record, part = self._record(request), self._part(request)
            content, name = await _read_body(request), _read_name(request)
            folder = record.folder_of(part) / "expressions"
            return JSONResponse(await self._find_expression(folder, content, name))

    async def expression(self, request: Request) -> Response:
        """The face of a kept expression, small."""
        folder = self._record(request).folder_of(self._part(request))
        found = expression_picture(folder, request.path_params["expression"])
        return FileResponse(found, headers=_KEPT)

    async def edit_picture(self, request: Request) -> Response:
        """The edited photo inside an edit's rectangle."""
        return FileResponse(await self._edit(request, ""), headers=_KEPT)

    async def edit_thumbnail(self, request: Request) -> Response:
        """The same, small."""
        return FileResponse(await self._edit(request, "-small"), headers=_KEPT)

    async def download(self, request: Request) -> Response:
        """A finished export."""
        found = self._studio.downloads.get(request.path_params["name"])
        if found is None or not found[0].is_file():
            raise UnknownError("this export is not here any more: save it again")
        return FileResponse(found[0], filename=found[1], headers=_FRESH)

    async def socket(self, socket: WebSocket) -> None:
        """Talk with a page until it goes."""
        await socket.accept()
        page = self._studio.enter()
        sending = asyncio.create_task(_send(socket, page))
        try:
            while True:
                message = read_object(_parse(await socket.receive_text()), "a message")
                self._studio.receive(page, message)
        except (WebSocketDisconnect, RuntimeError):
            pass
        except (MessageError, KeyError):
            await socket.close(1003, "messages are JSON objects")
        finally:
            sending.cancel()
            self._studio.leave(page)

    async def _edit(self, request: Request, suffix: str) -> Path:
        slot = self._slot(request)
        edit = int(request.path_params["edit"])
        path = slot.pictures / f"{edit:04d}{suffix}.jpg"
        if not path.is_file():
            document = slot.read_document()
            if document is None or document.note(edit).rect is None:
                raise UnknownError(f"there is no picture of edit {edit}")
            await self._restore(slot, edit)
        return path

    async def _find_expression(self, folder: Path, content: bytes, name: str) -> Json:
        """Look for the face in another photo, whose expression is to be taken."""
        found: Json = {}
        models = self._studio.workshop.models

        def work(control: Control) -> Callable[[], None]:
            control.announce("faces")
            told = keep_expression(folder, content, name, models)
            return lambda: found.update(told)

        await self._studio.submit("expression", work).outcome
        return found

    async def _unpack(self, record: PhotoRecord, content: bytes, name: str) -> list[Json]:
        edits: list[Json] = []
        desk, workshop = self._studio.desk, self._studio.workshop
        part = desk.part if desk.record and desk.record.photo == record.photo else None

        def work(control: Control) -> Callable[[], None]:
            control.announce("recipe")
            photo = workshop.photo(record)
            reader = RecipeReader(record, photo, workshop.models, part, desk.settings)
            found = reader.read(content, name)
            return lambda: edits.extend(found)

        await self._studio.submit("recipe", work).outcome
        return edits

    async def _restore(self, slot: Slot, edit: int) -> None:
        """Make an edit's pictures again where they are lost."""

        def work(control: Control) -> Callable[[], None]:
            keep_pictures(slot, edit, self._studio.workshop.compose_stored(slot, edit, control))
            return lambda: None

        await self._studio.submit("export", work).outcome

    def _record(self, request: Request) -> PhotoRecord:
        return self._studio.shelf.record(request.path_params["photo"])

    def _part(self, request: Request) -> Part:
        record, part = self._record(request), read_part(request.path_params["face"])
        if face_of(record, part) is None and part not in self._studio.shelf.squares(record):
            raise UnknownError("there is no such square")
        return part

    def _slot(self, request: Request) -> Slot:
        record, part = self._record(request), self._part(request)
        studio, name = self._studio, request.query_params.get("v", "")
        slots = {slot.id: slot for slot in studio.shelf.slots(record, part)}
        return slots.get(name) or studio.shelf.slot(record, part, studio.desk.settings)


async def _send(socket: WebSocket, page: Page) -> None:
    while True:
        message = await page.messages.get()
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise MessageError("a message must be JSON") from error


async def _read_body(request: Request, most: int | None = None) -> bytes:
    """The whole body, as long as it is not longer than `most` bytes, or a photo may be."""
    most = most or MOST_UPLOAD
    announced = request.headers.get("content-length", "0")
    too_large = UploadTooLargeError(
        f"the file is larger than {most // 1_000_000} MB, which is the most that is taken"
    )
    if not announced.isdigit() or int(announced) > most:
        raise too_large
    parts, length = list[bytes](), 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _read_name(request: Request) -> str:
    """The file's name as the page gives it: only ever shown, and the stem of a download's name."""
    # Percent-encoded, since headers hold no other letters.
    given = QueryParams(f"name={request.headers.get('x-name', '')}").get("name", "")
    last = re.split(r"[/\\]", given)[-1]
    printable = "".join(character for character in last if character.isprintable()).strip(". ")
    return printable[-LONGEST_NAME:] or "photo"


async def _refuse(_: Request, error: Exception) -> Response:
    code, status, line = describe(error)
    return JSONResponse({"code": code, "message": line}, status_code=status, headers=_FRESH)


async def _not_found(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    told = {"code": "unknown", "message": "there is nothing at this address"}
    return JSONResponse(told, status_code=status, headers=_FRESH)
