"""Engines and options from the command line and from files."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image

from editing.engine import ENGINES
from pipeline.cli import main
from pipeline.engines import OPTIONS, Option, choose_engine, read_options
from pipeline.errors import RequestError
from pipeline.requestfile import read_request
from pipeline.session import open_session
from pipeline.stored import recall_edit

Capture = pytest.CaptureFixture[str]
BY_FLAG = {option.flag: option for option in OPTIONS}
VALUES = {
    "--space": ("w", "w"),
    "--layers": ("3", 3),
    "--block": ("8,16", (8, 16)),
    "--lr": ("0.01", 0.01),
    "--radius": ("20", 20.0),
    "--mask-weight": ("2", 2.0),
    "--max-steps": ("2", 2),
}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_an_option_is_read_from_text_and_from_json(option: Option) -> None:
    text, value = VALUES[option.flag]
    assert option.read(text) == value
    assert option.read(json.loads(json.dumps(value))) == value
    for name in ENGINES:
        assert getattr(choose_engine(name, {option.name: value}), option.name) == value


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--space", "v"),
        ("--layers", "2.5"),
        ("--block", "8;16"),
        ("--lr", True),
        ("--radius", None),
    ],
)
def test_what_is_no_value_is_refused(flag: str, value: object) -> None:
    with pytest.raises(RequestError, match=flag):
        BY_FLAG[flag].read(value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(RequestError, match="unknown engine 'best': choose one of default, ref"):
        choose_engine("best")
    with pytest.raises(RequestError, match="unknown option 'lr' of an engine: known are space"):
        read_options({"lr": 1})


def test_flags_reach_the_report_the_session_and_the_next_request(
    portrait: Path, tiny_file: Path, inverted: Path, tmp_path: Path
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    report = tmp_path / "report.json"
    argv = ["edit", str(portrait), "-o", str(tmp_path / "out.png"), "--device", "cpu"]
    argv += ["--generator", str(tiny_file), "--quality", "fast", "--session", str(tmp_path / "s")]
    argv += ["--preset", "smile", "--engine", "paper", "--report", str(report)]
    argv += [part for flag, (text, _) in VALUES.items() for part in (flag, text)]
    assert main(argv) == 0
    wanted = {BY_FLAG[flag].name: value for flag, (_, value) in VALUES.items()}
    written = json.loads(report.read_text("utf-8"))
    whole = asdict(choose_engine("paper", wanted))
    assert written["engine"] == json.loads(json.dumps(whole))
    assert written["edit"]["steps"] <= 2
    for path in (report, tmp_path / "s" / "edits" / "0001.json"):
        request = read_request(path)
        assert (request.engine, request.options) == ("paper", wanted)


def test_a_value_that_no_generator_has_is_one_line(
    inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    argv = ["drag", "--session", str(tmp_path / "s"), "--device", "cpu", "--preset", "smile"]
    assert main([*argv, "--block", "1024"]) == 1
    assert "no feature block 1024" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*argv, "--space", "z"])


def test_edits_go_on_and_branch(inverted: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    session = ["--session", str(tmp_path / "s")]
    quick = [*session, "--device", "cpu", "--max-steps", "4"]
    # A network without faces may come no nearer in four steps; this engine ends where it is then.
    pull = ["--drag", "226,100:226,180", "--engine", "reference"]
    assert main(["drag", *quick, "--preset", "smile"]) == 0
    assert main(["drag", *quick, *pull, "--from", "1"]) == 0
    assert main(["drag", *quick, "--preset", "raise-brows", "--from", "1"]) == 0
    assert main(["drag", *quick, *pull]) == 0
    capsys.readouterr()
    assert main(["edits", *session, "--json"]) == 0
    edits = json.loads(capsys.readouterr().out)["edits"]
    assert [edit["parent"] for edit in edits] == [0, 1, 1, 0]
    assert main(["edits", *session]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "3: from 1, step cap; raise-brows 1" in lines
    assert lines[-1].endswith("(shown)")
    one, two, _, four = (recall_edit(open_session(tmp_path / "s"), k) for k in (1, 2, 3, 4))
    assert not torch.equal(one.latents, two.latents)
    assert not torch.equal(two.latents, four.latents)
    assert len(two.points) == len(four.points) == 1
    out = tmp_path / "out.png"
    assert main(["composite", *session, "--device", "cpu", "-o", str(out), "--edit", "2"]) == 0
    assert main(["drag", *quick, "--preset", "smile", "--from", "9"]) == 1
    assert "has no edit 9: complete ones are 1, 2, 3, 4" in capsys.readouterr().err


def test_masks_of_one_colour_are_not_silently_ignored(
    inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    argv = ["drag", "--session", str(tmp_path / "s"), "--device", "cpu", "--max-steps", "2"]
    mask = tmp_path / "mask.png"
    for level, code, said in ((255, 0, "all of the square may change"), (0, 1, "mask is empty")):
        Image.new("L", (512, 512), level).save(mask)
        assert main([*argv, "--preset", "smile", "--mask", str(mask)]) == code
        assert said in capsys.readouterr().err
