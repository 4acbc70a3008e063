"""Networks that are fetched or imported, and what may never count as one."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import weights.catalogue
from tests.webserver import Page, Site, serving
from tests.weights.foreign_nvidia import snapshot, tiny, write_pickle
from weights.acquire import fetch_weights, fetchable, import_weights
from weights.cache import (
    cache_folder,
    find_record,
    list_records,
    part_of,
    remove_record,
    verify_record,
)
from weights.catalogue import CATALOGUE, Entry, read_catalogue
from weights.errors import (
    BrokenWeightsError,
    FetchError,
    MissingWeightsError,
    WeightsError,
)
from weights.fetch import Patience, hash_file
from weights.store import generator_info, load_generator, save_generator
from weights.stylegan2 import Generator

HASTE = Patience(stall=5.0, tries=1, pause=0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHOTODRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "cache"


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "network.pkl"
    write_pickle(path, snapshot(tiny()))
    return path


def entry_of(site: Site, file: Path, *, like: str = "afhq-dog") -> Entry:
    """Entry of a file that the site has under its name."""
    site.pages[f"/{file.name}"] = Page(body=file.read_bytes())
    return dataclasses.replace(
        read_catalogue()[like],
        file=file.name,
        urls=(f"{site.url}/{file.name}",),
        bytes=file.stat().st_size,
        sha256=hash_file(file),
    )


def drain(entry: Entry) -> None:
    for _ in fetch_weights(entry, patience=HASTE):
        pass


def assert_same(a: Generator, b: Generator) -> None:
    z = torch.randn(1, a.config.z_dim)
    torch.testing.assert_close(a(a.map(z)), b(b.map(z)), rtol=0, atol=0)


def test_a_fetched_generator_is_converted_once_and_keeps_what_is_known(
    cache: Path, pickled: Path
) -> None:
    with serving({}) as site:
        entry = entry_of(site, pickled)
        drain(entry)
        drain(entry)
    assert site.asked == [("/network.pkl", "")]
    assert sorted(path.name for path in cache.iterdir() if path.is_file()) == [
        "afhq-dog.json", "afhq-dog.safetensors",
    ]  # fmt: skip
    info = generator_info("afhq-dog")
    assert (info.domain, info.licence) == ("whole", entry.terms)
    assert info.source_sha256 == entry.sha256
    assert info.notes == ()
    assert_same(load_generator("afhq-dog"), load_generator(pickled))


def test_what_is_not_the_published_file_leaves_nothing_that_counts(
    cache: Path, pickled: Path
) -> None:
    with serving({}) as site:
        entry = entry_of(site, pickled)
        site.pages["/network.pkl"].body = pickled.read_bytes()[:-1] + b"!"
        with pytest.raises(FetchError, match=r"^afhq-dog was not fetched: .* another SHA-256"):
            drain(entry)
    assert list_records() == []
    assert not list(cache.glob("afhq-dog*"))


def test_an_interrupted_fetch_is_gone_on_with(pickled: Path) -> None:
    with serving({}) as site:
        entry = entry_of(site, pickled)
        site.pages["/network.pkl"].send = [5000, 0]
        with pytest.raises(FetchError, match="cut the connection"):
            drain(entry)
        assert part_of("afhq-dog").stat().st_size == 5000
        assert find_record("afhq-dog") is None
        drain(entry)
    assert [asked for _, asked in site.asked] == ["", "bytes=5000-", "bytes=5000-"]
    assert load_generator("afhq-dog").config.resolution == 32


def test_a_whole_download_that_cannot_be_read_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x04cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    with serving({}) as site, pytest.raises(WeightsError, match=r"system"):
        drain(entry_of(site, path))
    assert find_record("afhq-dog") is None


def test_a_hash_that_nobody_published_is_remembered(pickled: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "network.pkl"
    other.parent.mkdir()
    write_pickle(other, snapshot(tiny(seed=1)))
    with serving({}) as site:
        entry = dataclasses.replace(entry_of(site, pickled), sha256="", hash="none", bytes=None)
        drain(entry)
        remove_record("afhq-dog")
        site.pages["/network.pkl"].body = other.read_bytes()
        with pytest.raises(FetchError, match=r"another SHA-256.*afhq-dog\.sha256 holds"):
            drain(entry)
        prefixed = dataclasses.replace(entry, name="cats", sha256=hash_file(other)[:9])
        drain(dataclasses.replace(prefixed, hash="prefix"))
    assert find_record("afhq-dog") is None
    assert generator_info("cats").source_sha256 == hash_file(other)


def test_other_networks_go_where_they_are_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "s3fd-619a316812.pth"
    file.write_bytes(os.urandom(2000))
    with serving({}) as site:
        entry = entry_of(site, file, like="s3fd")
        drain(entry)
        place = tmp_path / "torch" / "hub" / "checkpoints" / file.name
        assert place.read_bytes() == file.read_bytes()
        assert find_record("s3fd") is not None
        remove_record("s3fd")
        assert not place.exists()

        shutil.copyfile(file, place)
        drain(entry)
        assert len(site.asked) == 1
        record = find_record("s3fd")
        assert record is not None
        assert record.path == place
        remove_record("s3fd")
        assert place.exists()


SECOND = """
import json, sys
from weights.acquire import fetch_weights
from weights.catalogue import CATALOGUE, Entry
values = json.loads(sys.argv[1])
for progress in fetch_weights(Entry(**{**values, "urls": tuple(values["urls"])})):
    print(progress.done, flush=True)
print("done")
"""


@pytest.mark.slow
def test_two_processes_fetch_once(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(os.urandom(4_000_000))
    with serving({}) as site:
        entry = entry_of(site, file, like="ir-se50")
        first = fetch_weights(entry, patience=HASTE)
        next(first)
        argv = [sys.executable, "-c", SECOND, json.dumps(dataclasses.asdict(entry))]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert 0 < int(second.stdout.readline()) < 4_000_000
            for _ in first:
                pass
            assert second.stdout.read().split()[-1] == "done"
    assert len(site.asked) == 1
    assert (cache_folder() / file.name).read_bytes() == file.read_bytes()


FULL_DISK = """
import json, sys
from pathlib import Path
from weights.acquire import fetch_weights
from weights.cache import cache_folder, list_records
from weights.catalogue import CATALOGUE, Entry
from weights.errors import FetchError
values = json.loads(sys.argv[1])
entry = Entry(**{**values, "urls": tuple(values["urls"])})
ballast = cache_folder() / "ballast"
try:
    for progress in fetch_weights(entry):
        if not ballast.exists():
            ballast.write_bytes(bytes(1_400_000))
except FetchError as error:
    print(error)
print(len(list_records()))
ballast.unlink()
for progress in fetch_weights(entry):
    pass
print(list_records()[0].bytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_disk_that_fills_up_on_the_way(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(os.urandom(1_000_000))
    cache.mkdir()
    mount = f'mount -t tmpfs -o size=2m tmpfs {cache} && exec "$@"'
    with serving({}) as site:
        entry = entry_of(site, file, like="ir-se50")
        argv = [sys.executable, "-c", FULL_DISK, json.dumps(dataclasses.asdict(entry))]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount, "sh", *argv], capture_output=True, text=True
        )
        if "unshare" in done.stderr or "mount" in done.stderr:
            pytest.skip("no leave to mount a disk")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("no room for ir-se50 in "), done.stderr
    assert lines[1:] == ["0", "1000000"]
    assert len(site.asked) == 2
    assert site.asked[1][1].startswith("bytes=")


def test_an_imported_generator_is_as_the_file_says(pickled: Path) -> None:
    record = import_weights(pickled, name="dogs", domain="whole", licence="mine")
    info = generator_info("dogs")
    assert (info.domain, info.licence, info.what) == ("whole", "mine", "network.pkl")
    assert info.source_sha256 == record.source_sha256 == hash_file(pickled)
    assert_same(load_generator("dogs"), load_generator(pickled))
    assert list_records() == [record]
    verify_record(record)


def test_our_own_files_can_be_imported_too(tiny_generator: Generator, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_generator(path, tiny_generator, what="a test")
    record = import_weights(path, name="mine")
    assert (record.what, generator_info("mine").domain) == ("a test", "face")
    assert load_generator("mine").config == tiny_generator.config


def test_importing_again_is_the_same_and_another_file_is_refused(
    pickled: Path, tmp_path: Path
) -> None:
    assert import_weights(pickled, name="dogs") == import_weights(pickled, name="dogs")
    other = tmp_path / "other.pkl"
    write_pickle(other, snapshot(tiny(seed=1)))
    with pytest.raises(WeightsError, match=r"dogs is taken, by network\.pkl: choose another name"):
        import_weights(other, name="dogs")
    with pytest.raises(WeightsError, match="dogs is taken"):
        import_weights(pickled, name="dogs", domain="whole")


@pytest.mark.parametrize("name", ["", "Dogs", "a/b", "../up", ".hidden", "x-encoder", "a b"])
def test_names_that_cannot_be(pickled: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="cannot be a name"):
        import_weights(pickled, name=name)


def test_names_that_are_kept(pickled: Path) -> None:
    with pytest.raises(WeightsError, match="portrait-128 comes with photodrag"):
        import_weights(pickled, name="portrait-128")
    with pytest.raises(WeightsError, match="is not the published ffhq-1024, its SHA-256 is"):
        import_weights(pickled, name="ffhq-1024")
    with pytest.raises(MissingWeightsError, match="is no file"):
        import_weights(pickled.with_name("gone.pkl"), name="dogs")


def test_names_are_of_the_catalogue() -> None:
    assert fetchable("car").domain == "whole"
    with pytest.raises(MissingWeightsError, match="nothing called cars can be fetched"):
        fetchable("cars")


def test_a_file_of_the_catalogue_brings_its_terms_under_any_name(
    pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = json.loads(CATALOGUE.read_text("utf-8"))
    car = next(row for row in rows if row["name"] == "car")
    car["sha256"] = hash_file(pickled)
    (tmp_path / "catalogue.json").write_text(json.dumps(rows), "utf-8")
    monkeypatch.setattr(weights.catalogue, "CATALOGUE", tmp_path / "catalogue.json")
    for name in ("car", "mine"):
        import_weights(pickled, name=name)
        info = generator_info(name)
        assert (info.domain, info.what, info.licence) == (
            "whole", car["what"], read_catalogue()["car"].terms,
        )  # fmt: skip


def test_infinite_weights_are_not_imported(tiny_generator: Generator, tmp_path: Path) -> None:
    tiny_generator.mapping.w_avg[3] = float("nan")
    save_generator(tmp_path / "bad.safetensors", tiny_generator, what="a test")
    with pytest.raises(BrokenWeightsError, match="numbers that are not finite"):
        import_weights(tmp_path / "bad.safetensors", name="bad")
    assert list_records() == []


def test_a_changed_file_is_noticed_and_can_be_removed(pickled: Path) -> None:
    record = import_weights(pickled, name="dogs")
    data = bytearray(record.path.read_bytes())
    data[-1] ^= 1
    record.path.write_bytes(data)
    with pytest.raises(BrokenWeightsError, match="has changed since it was recorded"):
        verify_record(record)
    assert remove_record("dogs")
    assert find_record("dogs") is None
    with pytest.raises(MissingWeightsError, match="no weights called dogs"):
        remove_record("dogs")


def test_a_damaged_record_does_not_count_and_can_be_removed(cache: Path, pickled: Path) -> None:
    import_weights(pickled, name="dogs")
    record = (cache / "dogs.json").read_text("utf-8")
    for damaged in ("{", "[]", "{}", record.replace('"dogs.safetensors"', "5")):
        (cache / "dogs.json").write_text(damaged, "utf-8")
        with pytest.raises(BrokenWeightsError, match="photodrag weights remove dogs"):
            list_records()
    with pytest.raises(BrokenWeightsError, match="photodrag weights remove dogs"):
        load_generator("dogs")
    assert len(remove_record("dogs")) == 2


def test_the_cache_may_move(cache: Path, pickled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_weights(pickled, name="dogs")
    cache.rename(cache.with_name("elsewhere"))
    monkeypatch.setenv("PHOTODRAG_CACHE", str(cache.with_name("elsewhere")))
    assert load_generator("dogs").config.resolution == 32
