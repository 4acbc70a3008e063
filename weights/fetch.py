"""Files from the network: the only module that opens a connection.

A file grows in its part file, which a later attempt goes on with; addresses are tried in turn. A
part counts for nothing until its length and its SHA-256 are what was asked for. Proxies are those
of the environment, as `urllib.request` reads them.

pooch, which checks hashes too, neither goes on where it was cut nor tries mirrors nor notices a
stall, and brings a stack of HTTP libraries; what is left to it is less than this module.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, responses
from pathlib import Path
from typing import NamedTuple, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from weights.errors import FetchError

OFFLINE_VARIABLE = "PHOTODRAG_OFFLINE"
BLOCK = 1 << 20
MAY_PASS = (408, 429, 500, 502, 503, 504)
"""HTTP states that another attempt may not meet."""


class Progress(NamedTuple):
    """How far a download is: bytes on the disk, and bytes of the whole if that is known."""

    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to put up with a server.

    Attributes:
        stall: seconds without a byte after which a connection counts as cut.
        tries: attempts in a row that bring nothing before the next address is tried.
        pause: seconds before the second attempt, doubled with each that brings nothing.
    """

    stall: float = 30.0
    tries: int = 3
    pause: float = 1.0


class _CutError(Exception):
    """The transfer stopped for a reason that may pass."""


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def tag_of(part: Path) -> Path:
    """File that remembers which version of a file, from which address, a part is of."""
    return part.with_name(f"{part.name}.etag")


def download(
    urls: Sequence[str],
    part: Path,
    *,
    size: int | None,
    sha256: str,
    patience: Patience | None = None,
) -> Generator[Progress, None, str]:
    """Fetch a file into `part`, going on from what is there; give progress after each block.

    Args:
        urls: its addresses, tried in turn.
        part: where it grows; it is kept when the generator is closed or an attempt is cut.
        size: its length in bytes, if known.
        sha256: its hash in hex, the first digits of it, or "" if nothing is known.
        patience: how long to put up with a server.

    Returns:
        SHA-256 of the whole file, which is now `part`.

    Raises:
        FetchError: no address gave the file, or the environment forbids the network.
        OSError: the disk is full, or `part` cannot be written.
    """
    if is_offline():
        raise FetchError(f"the network is not to be used: unset {OFFLINE_VARIABLE} to fetch")
    failures: list[str] = []
    for url in urls:
        source = _Source(url, part, size, sha256, patience or Patience())
        try:
            return (yield from source.fetch())
        except FetchError as error:
            failures.append(f"{urlsplit(url).netloc} {error}")
    raise FetchError("; ".join(failures))


@dataclass(frozen=True)
class _Source:
    """One address of a file, and the part file that it fills."""

    url: str
    part: Path
    size: int | None
    sha256: str
    patience: Patience

    def fetch(self) -> Generator[Progress, None, str]:
        """Fetch until the part is whole; a part that turns out wrong is thrown away."""
        idle = most = 0
        while True:
            before = _length(self.part)
            most = max(most, before)
            try:
                yield from self._transfer()
            except _CutError as cut:
                # A server that makes us throw parts away must not keep us for ever.
                idle = 0 if _length(self.part) > most else idle + 1
                if idle >= self.patience.tries:
                    raise FetchError(str(cut)) from cut
                time.sleep(self.patience.pause * 2 ** max(0, idle - 1))
                continue
            found = hash_file(self.part)
            tag_of(self.part).unlink(missing_ok=True)
            if found.startswith(self.sha256):
                return found
            self.part.unlink()
            # What was there before may have been of another file; a whole download was not.
            if before == 0:
                raise FetchError(f"sent a file with another SHA-256, {found}")

    def _transfer(self) -> Generator[Progress, None, None]:
        """Append what is missing to the part, in one request.

        Raises:
            _CutError: it stopped on the way.
            FetchError: this address does not give the file.
        """
        have = _length(self.part)
        if have == self.size and have > 0:
            return
        headers = self._conditions(have)
        with self._open(headers) as response:
            start = self._check(response, have if "Range" in headers else 0)
            total = self._total(response, start)
            _check_space(self.part, total - start)
            tag_of(self.part).write_text(
                f"{self.url}\n{response.headers.get('ETag') or ''}", "utf-8"
            )
            done = start
            with self.part.open("r+b" if start else "wb") as file:
                file.seek(start)
                while done < total and (block := _read(response)):
                    # A server that sends more than it announced gains nothing.
                    done += file.write(block[: total - done])
                    yield Progress(done, total)
        if done < total:
            raise _CutError("cut the connection")

    def _conditions(self, have: int) -> dict[str, str]:
        """Ask for the rest only where the tag or the hash will tell if it does not fit."""
        headers = {"User-Agent": "photodrag"}
        saved = tag_of(self.part).read_text("utf-8") if tag_of(self.part).is_file() else "\n"
        url, _, tag = saved.partition("\n")
        # A weak tag does not promise the same bytes.
        known = tag if url == self.url and tag and not tag.startswith("W/") else ""
        if have and (known or self.sha256):
            headers["Range"] = f"bytes={have}-"
            if known:
                headers["If-Range"] = known
        return headers

    def _open(self, headers: dict[str, str]) -> HTTPResponse:
        # The catalogue's test allows only http and https.
        request = Request(self.url, headers=headers)  # noqa: S310
        try:
            return cast(HTTPResponse, _opener().open(request, timeout=self.patience.stall))
        except HTTPError as error:
            error.close()
            # The phrase that the server sent may be anything.
            answer = f"answered {error.code} {responses.get(error.code, '')}".rstrip()
            if error.code == 416:
                self.part.unlink(missing_ok=True)
            elif error.code not in MAY_PASS:
                raise FetchError(answer) from error
            raise _CutError(answer) from error
        except (URLError, HTTPException, OSError) as error:
            raise _CutError(_reason(error)) from error

    def _check(self, response: HTTPResponse, have: int) -> int:
        """Refuse what is not the file, and return at which byte the answer begins."""
        if self.url.startswith("https:") and not response.url.startswith("https:"):
            raise FetchError("leads to an address without encryption")
        if response.headers.get_content_type() == "text/html":
            raise FetchError("sent a web page in place of the file")
        if response.status != 206:
            return 0
        begins = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if begins is None or int(begins[1]) != have:
            self.part.unlink(missing_ok=True)
            raise _CutError("sent another part of the file than was asked for")
        return have

    def _total(self, response: HTTPResponse, start: int) -> int:
        """Length of the whole file by the answer's own account, which must fit ours."""
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            if self.size is None:
                raise FetchError("does not say how long the file is")
            return self.size
        total = start + int(length)
        if self.size is not None and total != self.size:
            raise FetchError(f"has {total} bytes where {self.size} are expected")
        return total


def _opener() -> OpenerDirector:
    """Open web addresses only: urllib's own choice also follows a redirect to FTP."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPErrorProcessor,
        HTTPDefaultErrorHandler, UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK)
    except (HTTPException, OSError) as error:
        raise _CutError(_reason(error)) from error


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return "does not answer"
    return f"fails: {cause}" if str(cause) else "fails"


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        said = f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free"
        raise OSError(errno.ENOSPC, said, str(part.parent))
