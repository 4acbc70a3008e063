"""`photodrag weights ...` from the command line, against a real server."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import weights.catalogue
from pipeline.cli import main
from tests.webserver import Page, Site, serving
from tests.weights.foreign_nvidia import snapshot, tiny, write_pickle
from weights.catalogue import read_catalogue
from weights.fetch import hash_file
from weights.store import generator_info

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHOTODRAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "cache"


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "afhqdog.pkl"
    write_pickle(path, snapshot(tiny()))
    return path


@pytest.fixture
def site(pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with the generator, and a catalogue that says so."""
    with serving({"/afhqdog.pkl": Page(body=pickled.read_bytes())}) as running:
        rows = [dataclasses.asdict(entry) for entry in read_catalogue().values()]
        row = next(row for row in rows if row["name"] == "afhq-dog")
        row["urls"] = [f"{running.url}/gone.pkl", f"{running.url}/afhqdog.pkl"]
        row["sha256"], row["bytes"] = hash_file(pickled), pickled.stat().st_size
        path = tmp_path / "catalogue.json"
        path.write_text(json.dumps(rows), "utf-8")
        monkeypatch.setattr(weights.catalogue, "CATALOGUE", path)
        yield running


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = main(["weights", *arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_list_says_what_is_here_and_what_could_be(capsys: Capture, cache: Path) -> None:
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    assert f"nothing in {cache}" in out
    for entry in read_catalogue().values():
        (line,) = re.findall(rf"^  {re.escape(entry.name)} .*$", out, re.MULTILINE)
        assert entry.size in line
        assert entry.licence in line
    last = out.splitlines()[-1]
    assert "photodrag weights fetch ffhq-1024 (382 MB; NVIDIA" in last

    code, out, err = run(capsys, "list", "--json")
    rows = json.loads(out)["weights"]
    assert {row["state"] for row in rows} == {"built in", "can be fetched"}
    assert len(rows) == len({row["name"] for row in rows})


def test_fetch_verify_path_remove(site: Site, capsys: Capture, cache: Path) -> None:
    code, out, err = run(capsys, "fetch", "afhq-dog")
    assert code == 0
    assert out == f"afhq-dog: fetched, {cache / 'afhq-dog.safetensors'}, 0.2 MB\n"
    lines = err.replace("\r", "\n").split("\n")
    assert sum("NVIDIA Source Code License" in line for line in lines) == 1
    assert any(re.search(r"afhq-dog: 100%.*B/s", line) for line in lines)
    assert generator_info("afhq-dog").domain == "whole"

    assert run(capsys, "fetch", "afhq-dog")[1].startswith("afhq-dog: was here already")
    assert [path for path, _ in site.asked] == ["/gone.pkl", "/afhqdog.pkl"]
    assert run(capsys, "path", "afhq-dog")[1] == f"{cache / 'afhq-dog.safetensors'}\n"
    assert run(capsys, "path")[1] == f"{cache}\n"
    assert run(capsys, "verify")[1] == "afhq-dog: as recorded\n"
    assert "afhq-dog" in run(capsys, "list")[1].split("photodrag weights fetch NAME brings:")[0]

    (cache / "afhq-dog.safetensors").write_bytes(b"changed")
    code, out, err = run(capsys, "verify", "afhq-dog")
    assert (code, out) == (1, "")
    assert err.startswith("photodrag: error: ")
    assert "photodrag weights remove afhq-dog" in err
    assert run(capsys, "remove", "afhq-dog")[0] == 0
    assert run(capsys, "verify")[1] == f"nothing in {cache}\n"
    assert "neither fetched nor imported" in run(capsys, "verify", "afhq-dog")[2]


def test_the_licence_is_not_repeated_when_a_fetch_goes_on(
    site: Site, capsys: Capture, cache: Path, pickled: Path
) -> None:
    cache.mkdir()
    (cache / "afhq-dog.part").write_bytes(pickled.read_bytes()[:5000])
    assert "; 0.0 MB have come\n" in run(capsys, "list")[1]
    code, _, err = run(capsys, "fetch", "afhq-dog")
    assert code == 0
    assert "NVIDIA" not in err
    assert site.asked[-1] == ("/afhqdog.pkl", "bytes=5000-")


def test_offline_and_a_hash_that_nobody_published_are_said(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTODRAG_OFFLINE", "1")
    code, _, err = run(capsys, "fetch", "afhq-wild")
    assert code == 1
    assert "nobody published a SHA-256 of afhq-wild" in err
    assert "unset PHOTODRAG_OFFLINE" in err


def test_import_into_another_folder(
    pickled: Path, capsys: Capture, tmp_path: Path, cache: Path
) -> None:
    folder = ["--cache", str(tmp_path / "mine")]
    code, out, _ = run(
        capsys, "import", str(pickled), "--name", "dogs", "--domain", "whole",
        "--licence", "mine", "--json", *folder,
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["licence"] == "mine"
    assert (tmp_path / "mine" / "dogs.safetensors").is_file()
    assert not cache.exists()
    assert generator_info("dogs").domain == "whole"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fetch", "nothing"], "nothing called nothing can be fetched"),
        (["remove", "../catalogue"], "there are no weights called ../catalogue"),
        (["import", "gone.pkl", "--name", "dogs"], "gone.pkl is no file"),
        (["path", "ffhq-512"], "photodrag weights fetch ffhq-512 (364 MB; "),
    ],
)
def test_errors_are_one_line(capsys: Capture, arguments: list[str], reason: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("photodrag: error: ")
    assert reason in err
    assert err.count("\n") == 1
