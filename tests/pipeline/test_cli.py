"""The command line on a real portrait, with a tiny generator."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main

Capture = pytest.CaptureFixture[str]


def pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(path) as picture:
        return np.array(picture)


def test_faces_lists_and_draws(portrait: Path, tmp_path: Path, capsys: Capture) -> None:
    drawn = tmp_path / "drawn.png"
    assert main(["faces", str(portrait), "-o", str(drawn), "--json"]) == 0
    (face,) = json.loads(capsys.readouterr().out)["faces"]
    assert face["index"] == 1
    x, y = np.mean(face["landmarks"], axis=0)
    assert abs(x - 226) < 25
    assert abs(y - 125) < 25
    assert (pixels(drawn) != pixels(portrait)).any()
    as_jpeg = tmp_path / "drawn.jpg"
    assert main(["faces", str(portrait), "-o", str(as_jpeg)]) == 0
    with Image.open(as_jpeg) as picture:
        assert picture.format == "JPEG"


def test_edit_reports_everything(
    portrait: Path, tiny_file: Path, inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    capsys.readouterr()
    out, report_file, frames = (tmp_path / n for n in ("out.png", "report.json", "drag.gif"))
    flags = ["--preset", "smile", "--quality", "fast", "--device", "cpu", "--json"]
    flags += ["--session", str(tmp_path / "s")]
    files = ["-o", str(out), "--report", str(report_file), "--frames", str(frames)]
    assert main(["edit", str(portrait), *files, *flags, "--generator", str(tiny_file)]) == 0
    captured = capsys.readouterr()
    report = json.loads(report_file.read_text("utf-8"))
    assert json.loads(captured.out) == report
    assert "drag" in captured.err
    assert "LPIPS has no trunk" not in captured.err  # nothing was inverted
    assert report["face"] == 1
    assert report["seed"] == 0
    assert report["device"] == "cpu"
    assert report["dtype"] in {"float32", "bfloat16"}
    inversion, edit = report["inversion"], report["edit"]
    assert {"steps", "seconds", "psnr", inversion["perceptual_name"]} <= inversion.keys()
    assert len(edit["handles"]) == len(edit["targets"]) == len(edit["reached"]) > 0
    assert {"steps", "seconds", "mean_distance", "stopped"} <= edit.keys()
    assert report["composite"]["max_change_outside_mask"] == 0
    assert inversion["reused"] is True
    assert report["seconds"] >= edit["seconds"]
    with Image.open(frames) as film:
        assert film.size[0] <= 512
        assert b"edited with a trained generator" in film.info["comment"]
    changed = (pixels(out) != pixels(portrait)).any(axis=-1)
    assert changed.sum() <= report["composite"]["changed_pixels"]


def test_stage_by_stage_gives_the_picture_of_one_go(
    portrait: Path, tiny_file: Path, inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "stages")
    shutil.copytree(inverted, tmp_path / "whole")
    session = ["--session", str(tmp_path / "stages"), "--device", "cpu"]
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    assert main(["drag", *session, "--preset", "smile"]) == 0
    assert main(["composite", *session, "-o", str(one)]) == 0
    capsys.readouterr()
    assert main(["invert", *session, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] is True
    whole = ["--session", str(tmp_path / "whole"), "--device", "cpu", "--preset", "smile"]
    network = ["--generator", str(tiny_file), "--quality", "fast"]
    assert main(["edit", str(portrait), "-o", str(two), *whole, *network]) == 0
    np.testing.assert_array_equal(pixels(one), pixels(two))


def test_invert_takes_other_settings_than_the_session_began_with(
    inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    session = ["--session", str(tmp_path / "s"), "--device", "cpu", "--json"]
    assert main(["invert", *session, "--seed", "5"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["reused"], again["seed"]) == (False, 5)
    assert main(["invert", *session]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert (kept["reused"], kept["seed"]) == (True, 5)


def test_what_hides_the_face_is_another_inversion(
    inverted: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    hidden = np.zeros((512, 512), np.uint8)
    hidden[140:300, 100:400] = 255
    Image.fromarray(hidden).save(tmp_path / "hidden.png")
    covered = ["--hidden", str(tmp_path / "hidden.png")]
    session = ["--session", str(tmp_path / "s"), "--device", "cpu", "--json"]

    def reused(*flags: str) -> bool:
        capsys.readouterr()
        assert main(["invert", *session, *flags]) == 0
        return json.loads(capsys.readouterr().out)["reused"]

    assert reused()
    assert not reused(*covered)
    assert reused(*covered)
    assert not reused()
    photos = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main(["invert", *photos, "--together", *session, *covered]) == 1
    assert "--hidden belongs to one photo" in capsys.readouterr().err


def test_a_still_edit_copies_the_pixels(portrait: Path, tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    argv = ["edit", str(portrait), "-o", str(out), "--generator", str(tiny_file)]
    assert main([*argv, "--preset", "smile=0"]) == 0
    np.testing.assert_array_equal(pixels(out), pixels(portrait))


def test_a_spec_file_is_the_same_as_its_flags(
    portrait: Path, tiny_file: Path, inverted: Path, tmp_path: Path
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    spec = tmp_path / "spec.json"
    record = {"handles": [[226, 150]], "targets": [[226, 146]], "region": "mouth"}
    spec.write_text(json.dumps(record), "utf-8")
    asked = (["--spec", str(spec)], ["--drag", "226,150:226,146", "--region", "mouth"])
    for k, flags in enumerate(asked):
        argv = ["edit", str(portrait), "-o", str(tmp_path / f"{k}.png"), "--device", "cpu"]
        network = ["--generator", str(tiny_file), "--quality", "fast"]
        assert main([*argv, *network, *flags, "--session", str(tmp_path / "s")]) == 0
    assert kept_spec(tmp_path / "s", 1) == kept_spec(tmp_path / "s", 2)
    np.testing.assert_array_equal(pixels(tmp_path / "0.png"), pixels(tmp_path / "1.png"))


def kept_spec(session: Path, number: int) -> dict[str, list[list[float]]]:
    record = json.loads((session / "edits" / f"{number:04d}.json").read_text("utf-8"))
    return record["spec"]


def test_a_report_is_a_spec_file(
    portrait: Path, tiny_file: Path, inverted: Path, tmp_path: Path
) -> None:
    shutil.copytree(inverted, tmp_path / "s")
    mask = tmp_path / "mask.png"
    Image.fromarray(np.pad(np.full((90, 120), 255, np.uint8), ((110, 312), (166, 226)))).save(mask)
    asked = ["--drag", "226,150:226,146", "--preset", "smile=0.5", "--mask", str(mask)]
    report = tmp_path / "report.json"
    kept = tmp_path / "s" / "edits" / "0001.json"
    first = [*asked, "--report", str(report)]
    for k, flags in enumerate((first, ["--spec", str(report)], ["--spec", str(kept)])):
        argv = ["edit", str(portrait), "-o", str(tmp_path / f"{k}.png"), "--device", "cpu"]
        network = ["--generator", str(tiny_file), "--quality", "fast"]
        assert main([*argv, *network, *flags, "--session", str(tmp_path / "s")]) == 0
    specs = [kept_spec(tmp_path / "s", number) for number in (1, 2, 3)]
    assert len(specs[0]["handles"]) > 10
    assert specs[0] == specs[1] == specs[2]
    np.testing.assert_array_equal(pixels(tmp_path / "0.png"), pixels(tmp_path / "2.png"))


def test_weights_list(capsys: Capture) -> None:
    assert main(["weights", "list", "--json"]) == 0
    names = {model["name"] for model in json.loads(capsys.readouterr().out)["weights"]}
    assert {"portrait-128", "face-finder", "perceptual"} <= names


def test_a_fresh_process_prints_one_line_and_no_traceback(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pipeline", "faces", str(tmp_path / "gone.png")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("photodrag: error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
def test_nobody_reads_the_output() -> None:
    unread, written = os.pipe()
    os.close(unread)
    argv = [sys.executable, "-m", "pipeline", "weights", "list"]
    done = subprocess.run(argv, stdout=written, stderr=subprocess.PIPE, text=True, check=False)
    os.close(written)
    assert (done.returncode, done.stderr) == (141, "")


def interruptible(argv: list[str]) -> subprocess.Popen[str]:
    """Start a process whose stderr is read; interrupts reach it."""
    # A process started in the background ignores interrupts, and its children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    return process


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_while_the_libraries_load() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "pipeline", "weights", "list"]
    with interruptible(argv) as process:
        assert process.stderr is not None
        # A part of PyTorch is there, the whole is not.
        for line in process.stderr:
            if line.rstrip().endswith(" torch.types"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == -signal.SIGINT


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_leaves_a_session_that_goes_on(
    portrait: Path, tiny_file: Path, tmp_path: Path
) -> None:
    argv = ["edit", str(portrait), "-o", str(tmp_path / "out.png"), "--preset", "smile"]
    argv += ["--generator", str(tiny_file), "--session", str(tmp_path / "s"), "--device", "cpu"]
    command = [sys.executable, "-m", "pipeline", *argv, "--quality", "reference"]
    with interruptible(command) as process:
        assert process.stderr is not None
        said = ""
        while "invert" not in said:
            letter = process.stderr.read(1)
            assert letter, said
            said += letter
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not (tmp_path / "out.png").exists()
    assert main([*argv, "--quality", "fast"]) == 0
    assert (tmp_path / "out.png").exists()
