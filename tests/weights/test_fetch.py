"""Downloads from a server that cuts, stalls, lies and redirects: whole and true, or refused."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webserver import Page, Site, serving
from weights.errors import FetchError
from weights.fetch import Patience, Progress, download, tag_of

BODY = os.urandom(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
HASTE = Patience(stall=10.0, tries=2, pause=0.0)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving({"/file": Page(body=BODY)}) as running:
        yield running


def fetch(
    site: Site,
    part: Path,
    *paths: str,
    size: int | None = len(BODY),
    sha256: str = SHA256,
    patience: Patience = HASTE,
) -> str:
    urls = [site.url + path for path in paths or ("/file",)]
    steps = download(urls, part, size=size, sha256=sha256, patience=patience)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def ranges(site: Site) -> list[str]:
    return [asked for _, asked in site.asked]


def test_a_file_arrives_whole_with_its_progress(site: Site, tmp_path: Path) -> None:
    steps = download([f"{site.url}/file"], tmp_path / "part", size=None, sha256="", patience=HASTE)
    progress = list(steps)
    assert (tmp_path / "part").read_bytes() == BODY
    assert progress[-1] == Progress(len(BODY), len(BODY))
    assert all(a.done < b.done for a, b in itertools.pairwise(progress))
    assert not tag_of(tmp_path / "part").exists()


@pytest.mark.parametrize("etag", ["", '"one"', 'W/"weak"'])
def test_a_cut_connection_is_gone_on_with(site: Site, tmp_path: Path, etag: str) -> None:
    site.pages["/file"].send = [100_000, 0, 50_000]
    site.pages["/file"].etag = etag
    assert fetch(site, tmp_path / "part") == SHA256
    assert ranges(site) == ["", "bytes=100000-", "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "part").read_bytes() == BODY


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(BODY)), max_size=5),
    left=st.integers(0, len(BODY) + 9),
    true=st.booleans(),
    ranges=st.booleans(),
    etag=st.sampled_from(["", '"one"']),
)
def test_whatever_is_cut_the_result_is_true_or_none(
    cuts: list[int], left: int, true: bool, ranges: bool, etag: str
) -> None:
    page = Page(body=BODY, send=[*cuts], ranges=ranges, etag=etag)
    with tempfile.TemporaryDirectory() as folder, serving({"/file": page}) as site:
        part = Path(folder) / "part"
        part.write_bytes((BODY if true else BODY[::-1])[:left])
        try:
            assert fetch(site, part) == SHA256
        except FetchError:
            assert len(cuts) >= HASTE.tries
        else:
            assert part.read_bytes() == BODY


def test_an_interrupted_download_is_gone_on_with_by_the_next(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "part"
    steps = download([f"{site.url}/file"], part, size=len(BODY), sha256=SHA256)
    have = next(steps).done
    steps.close()
    assert part.stat().st_size == have < len(BODY)
    assert fetch(site, part) == SHA256
    assert ranges(site) == ["", f"bytes={have}-"]


def test_a_whole_part_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY)
    assert fetch(site, tmp_path / "part") == SHA256
    assert site.asked == []


def test_a_server_without_ranges_sends_everything_again(site: Site, tmp_path: Path) -> None:
    site.pages["/file"].send = [100_000]
    site.pages["/file"].ranges = False
    assert fetch(site, tmp_path / "part") == SHA256
    assert ranges(site) == ["", "bytes=100000-"]


def test_a_new_version_is_fetched_from_the_start(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"old" * 1000)
    tag_of(part).write_text(f'{site.url}/file\n"old"', "utf-8")
    site.pages["/file"].etag = '"new"'
    assert fetch(site, part, sha256="") == SHA256
    assert ranges(site) == ["bytes=3000-"]


def test_without_a_hash_or_a_version_nothing_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"old" * 1000)
    assert fetch(site, tmp_path / "part", sha256="") == SHA256
    assert ranges(site) == [""]


@pytest.mark.parametrize("junk", [1000, len(BODY), len(BODY) + 5])
def test_a_part_of_another_file_is_thrown_away(site: Site, tmp_path: Path, junk: int) -> None:
    (tmp_path / "part").write_bytes(bytes(junk))
    assert fetch(site, tmp_path / "part") == SHA256
    assert (tmp_path / "part").read_bytes() == BODY


def test_another_part_than_was_asked_for_is_not_joined(site: Site, tmp_path: Path) -> None:
    site.pages["/file"].send = [100_000]
    site.pages["/file"].shift = 7
    assert fetch(site, tmp_path / "part") == SHA256
    assert ranges(site) == ["", "bytes=100000-", ""]


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    site.pages["/old"] = Page(status=302, location=f"{site.url}/file")
    assert fetch(site, tmp_path / "part", "/old") == SHA256


def test_mirrors_are_tried_in_turn(site: Site, tmp_path: Path) -> None:
    site.pages["/wrong"] = Page(body=BODY[::-1])
    site.pages["/busy"] = Page(status=503)
    site.pages["/half"] = Page(body=BODY, send=[100_000, 0, 0])
    assert fetch(site, tmp_path / "part", "/gone", "/wrong", "/busy", "/half", "/file") == SHA256
    assert [path for path, _ in site.asked] == [
        "/gone", "/wrong", "/busy", "/busy", "/half", "/half", "/half", "/file",
    ]  # fmt: skip
    assert ranges(site)[-1] == "bytes=100000-"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=404), "answered 404 Not Found"),
        (Page(status=503), "answered 503"),
        (Page(body=b"<html>sign in</html>", kind="text/html; charset=utf-8"), "sent a web page"),
        (Page(body=BODY[:-1]), "has 299999 bytes where 300000 are expected"),
        (Page(body=BODY[:-1], length=len(BODY)), "cut the connection"),
        (Page(body=BODY[::-1]), "sent a file with another SHA-256"),
        (Page(status=302, location="file:///etc/passwd"), "answered 302"),
        (Page(status=302, location="ftp://127.0.0.1/file"), "fails: unknown url type: ftp"),
        (Page(status=302, location="/loop"), "answered 302"),
    ],
)
def test_what_is_not_the_file_is_refused(tmp_path: Path, page: Page, reason: str) -> None:
    with serving({"/file": page, "/loop": Page(status=302, location="/loop")}) as site:
        with pytest.raises(FetchError, match=reason) as caught:
            fetch(site, tmp_path / "part")
        assert str(caught.value).startswith(site.url.removeprefix("http://"))
        assert "\n" not in str(caught.value)


def test_a_stalled_connection_counts_as_cut(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = Page(body=BODY, send=[9, 0, 0], stalls=True)
    patience = Patience(stall=0.3, tries=2, pause=0.0)
    with pytest.raises(FetchError, match="does not answer"):
        fetch(site, tmp_path / "part", patience=patience)
    assert fetch(site, tmp_path / "part") == SHA256


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with serving({}) as site:
        pass
    with pytest.raises(FetchError, match="refused"):
        fetch(site, tmp_path / "part")


def test_a_length_must_be_known_beforehand(site: Site, tmp_path: Path) -> None:
    site.pages["/file"].length = -1
    with pytest.raises(FetchError, match="does not say how long the file is"):
        fetch(site, tmp_path / "part", size=None)


def test_only_the_announced_bytes_are_taken(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = Page(body=BODY * 2, length=-1)
    assert fetch(site, tmp_path / "part") == SHA256


def test_a_prefix_of_the_hash_is_checked(site: Site, tmp_path: Path) -> None:
    assert fetch(site, tmp_path / "part", size=None, sha256=SHA256[:8]) == SHA256
    (tmp_path / "part").unlink()
    with pytest.raises(FetchError, match="another SHA-256"):
        fetch(site, tmp_path / "part", sha256="0" * 8)
    assert not (tmp_path / "part").exists()


def test_offline_means_no_request(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTODRAG_OFFLINE", "1")
    with pytest.raises(FetchError, match="unset PHOTODRAG_OFFLINE"):
        fetch(site, tmp_path / "part")
    assert site.asked == []


def test_the_environments_proxy_is_used(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.delenv("no_proxy", raising=False)
    steps = download(["http://models.invalid/file"], tmp_path / "part", size=None, sha256=SHA256)
    assert list(steps)[-1].done == len(BODY)
    assert site.asked == [("http://models.invalid/file", "")]


def test_a_file_larger_than_the_disk_is_refused_beforehand(tmp_path: Path) -> None:
    with (
        serving({"/file": Page(length=10**17)}) as site,
        pytest.raises(OSError, match="100000000000 MB are needed"),
    ):
        fetch(site, tmp_path / "part", size=None)
    assert not (tmp_path / "part").exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
from weights.fetch import download
url, part, sha256 = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    list(download([url], Path(part), size=None, sha256=sha256))
except OSError as error:
    print("refused", Path(part).stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(list(download([url], Path(part), size=None, sha256=sha256))[-1].done)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_disk_that_fills_up_on_the_way_keeps_what_came(site: Site, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", FULL_DISK, f"{site.url}/file", str(tmp_path / "part"), SHA256]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["refused 100000", "300000"]
    assert ranges(site) == ["", "bytes=100000-"]
    assert (tmp_path / "part").read_bytes() == BODY
