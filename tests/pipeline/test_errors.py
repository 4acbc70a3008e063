"""Every mistake of a user, through the real command line: one line, exit code 1, no file."""

import hashlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.cli import is_out_of_memory, main
from pipeline.commands import weights as weights_commands
from pipeline.commands.console import Outcome
from pipeline.errors import FaceError
from pipeline.faces import Face
from pipeline.subject import MIN_SQUARE, align_face

Capture = pytest.CaptureFixture[str]
Run = Callable[..., str]


@pytest.fixture
def refused(portrait: Path, tiny_file: Path, tmp_path: Path, capsys: Capture) -> Callable[..., str]:
    """Run `photodrag edit PHOTO -o OUT ...`, expect an error of one line and nothing written."""

    def run(*flags: str, photo: Path = portrait, output: Path | None = None) -> str:
        out = output or tmp_path / "out.png"
        before = hashlib.sha256(portrait.read_bytes()).digest()
        there = sorted(tmp_path.rglob("*"))
        argv = ["edit", str(photo), "-o", str(out), "--generator", str(tiny_file)]
        assert main([*argv, "--device", "cpu", *flags]) == 1
        said = [x for x in capsys.readouterr().err.splitlines() if "error" in x]
        assert len(said) == 1
        assert said[0].startswith("photodrag: error: ")
        assert sorted(tmp_path.rglob("*")) == there
        assert hashlib.sha256(portrait.read_bytes()).digest() == before
        return said[0]

    return run


def test_no_face(refused: Run, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.new("RGB", (300, 300), (90, 120, 60)).save(flat)
    assert "no face found" in refused("--preset", "smile", photo=flat)


def test_a_face_below_the_minimum_names_both_sizes() -> None:
    x, y = np.meshgrid(np.linspace(0, 20, 17), np.linspace(0, 20, 4))
    face = Face(
        box=(0.0, 0.0, 20.0, 20.0),
        landmarks=np.stack([x.ravel(), y.ravel()], 1) + 100,
        score=1.0,
        index=3,
    )
    with pytest.raises(FaceError, match=rf"face 3 is too small.*at least {MIN_SQUARE:.0f}"):
        align_face(face, 32)


def test_face_out_of_range_lists_the_faces(refused: Run) -> None:
    message = refused("--preset", "smile", "--face", "7")
    assert "no face 7" in message
    assert "1 face: 1 at (" in message


def test_not_an_image(refused: Run, tmp_path: Path) -> None:
    text = tmp_path / "notes.jpg"
    text.write_text("no picture at all", "utf-8")
    assert "notes.jpg" in refused("--preset", "smile", photo=text)


def test_truncated_file(refused: Run, portrait: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.png"
    short.write_bytes(portrait.read_bytes()[:20_000])
    assert "short.png" in refused("--preset", "smile", photo=short)


def test_decompression_bomb(refused: Run, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (8, 8)).save(bomb)
    header = b"IHDR" + struct.pack(">II", 24_000, 24_000) + bomb.read_bytes()[24:29]
    size_and_sum = header + struct.pack(">I", zlib.crc32(header))
    bomb.write_bytes(bomb.read_bytes()[:12] + size_and_sum + bomb.read_bytes()[33:])
    assert "pixels" in refused("--preset", "smile", photo=bomb)


def test_directory_instead_of_file(refused: Run, tmp_path: Path) -> None:
    assert str(tmp_path) in refused("--preset", "smile", photo=tmp_path)


def test_missing_file(refused: Run, tmp_path: Path) -> None:
    assert "gone.png" in refused("--preset", "smile", photo=tmp_path / "gone.png")


def test_output_in_no_folder(refused: Run, tmp_path: Path) -> None:
    message = refused("--preset", "smile", output=tmp_path / "no" / "out.png")
    assert "there is no folder" in message


def test_output_is_a_folder(refused: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert "is a folder" in refused("--preset", "smile", output=folder)


def test_output_without_a_known_ending(refused: Run, tmp_path: Path) -> None:
    assert "out.xyz" in refused("--preset", "smile", output=tmp_path / "out.xyz")


def test_output_is_the_input(refused: Run, portrait: Path) -> None:
    assert "--overwrite" in refused("--preset", "smile", output=portrait)


def test_report_in_no_folder(refused: Run, tmp_path: Path) -> None:
    assert "no folder" in refused("--preset", "smile", "--report", str(tmp_path / "no" / "r.json"))


def test_handle_outside_the_crop(refused: Run) -> None:
    message = refused("--drag", "500,500:490,490")
    assert "handle 1 at (500, 500) lies outside the square of face 1" in message


def test_handle_outside_the_region_names_photo_pixels(refused: Run) -> None:
    message = refused("--drag", "226,100:226,105", "--region", "mouth")
    assert "moves a point at (226, 100), which lies outside the region 'mouth'" in message
    assert "choose another, or the region all" in message


def test_preset_outside_a_painted_mask(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    picture = Image.new("L", (512, 512), 0)
    picture.paste(255, (180, 40, 280, 100))
    picture.save(mask)
    message = refused("--preset", "smile", "--mask", str(mask))
    assert "lies outside the mask, where nothing may change: paint white there too" in message


@pytest.mark.parametrize("flag", ["--report", "--frames"])
def test_extra_results_replace_nothing(
    refused: Run, portrait: Path, tmp_path: Path, flag: str
) -> None:
    assert "is to hold two results" in refused("--preset", "smile", flag, str(tmp_path / "out.png"))
    assert "is a file that the edit reads" in refused(
        "--preset", "smile", "--overwrite", flag, str(portrait)
    )
    (tmp_path / "old.gif").write_bytes(b"mine")
    assert "exists already" in refused("--preset", "smile", flag, str(tmp_path / "old.gif"))


def test_frames_do_not_mix_with_other_files(refused: Run, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "0001.png").write_bytes(b"mine")
    assert "is not empty" in refused("--preset", "smile", "--frames", str(folder))


def test_expression_of_nobody_names_the_photo(refused: Run, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.new("RGB", (300, 300), (90, 120, 60)).save(flat)
    assert f"--expression-from {flat}: no face" in refused("--expression-from", str(flat))


@pytest.mark.parametrize("drag", ["nan,110:230,120", "230,110:inf,120"])
def test_points_that_are_no_places(refused: Run, drag: str) -> None:
    assert "lies outside the square" in refused("--drag", drag)


def test_handles_and_targets_that_differ_in_number(refused: Run, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"handles": [[1, 2], [3, 4]], "targets": [[1, 2]]}), "utf-8")
    message = refused("--spec", str(spec))
    assert "needs one target per handle: got 2 handles and 1 targets" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is no readable JSON"),
        ("[]", "must hold one JSON object"),
        ('{"handle": []}', "unknown key 'handle'"),
        ('{"presets": ["smile"]}', '"presets" must be an object'),
        ('{"presets": {"smile": "much"}}', "strength of preset smile must be a number"),
        ('{"handles": [[1]], "targets": [[1]]}', "list of [x, y] pairs"),
        ('{"region": 3}', "must be text"),
    ],
)
def test_a_wrong_spec_file(refused: Run, tmp_path: Path, text: str, expected: str) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(text, "utf-8")
    assert expected in refused("--spec", str(spec))


def test_mask_of_another_size(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 32), 255).save(mask)
    message = refused("--preset", "smile", "--mask", str(mask))
    assert "the mask is 64 x 32 pixels, the photo 512 x 512" in message


def test_mask_of_what_hides_the_face(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 32), 255).save(mask)
    message = refused("--preset", "smile", "--hidden", str(mask))
    assert "hides the face is 64 x 32 pixels, the photo 512 x 512" in message
    Image.new("L", (512, 512), 255).save(mask)
    assert "all of it is hidden" in refused("--preset", "smile", "--hidden", str(mask))


def test_empty_mask(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (512, 512), 0).save(mask)
    assert "the mask is empty" in refused("--preset", "smile", "--mask", str(mask))


def test_mask_beside_the_face(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    picture = Image.new("L", (512, 512), 0)
    picture.paste(255, (480, 480, 512, 512))
    picture.save(mask)
    assert "does not touch the square" in refused("--preset", "smile", "--mask", str(mask))


def test_unreadable_mask(refused: Run, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(b"no picture")
    assert "is no picture" in refused("--preset", "smile", "--mask", str(mask))


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("grin", "unknown preset 'grin'"), ("smile=much", "must be"), ("smile=nan", "must be")],
)
def test_wrong_presets(refused: Run, preset: str, expected: str) -> None:
    assert expected in refused("--preset", preset)


def test_unknown_region(refused: Run) -> None:
    assert "unknown region 'knee'" in refused("--preset", "smile", "--region", "knee")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--max-steps", "0"), "max steps must be at least 1, not 0"),
        (("--radius", "-1"), "radius must be a positive number, not -1.0"),
        (("--block", "7"), "no feature block 7"),
    ],
)
def test_options_are_refused_before_the_inversion(
    refused: Run, tmp_path: Path, option: tuple[str, str], message: str
) -> None:
    """A session would hold the inversion, and `refused` wants nothing written."""
    session = ("--session", str(tmp_path / "s"))
    assert message in refused("--preset", "smile", *option, *session)


def test_nothing_asked(refused: Run) -> None:
    assert "nothing to edit" in refused()


def test_missing_weights(refused: Run) -> None:
    assert "no weights called nobody" in refused("--preset", "smile", "--generator", "nobody")


def test_weights_of_another_format(refused: Run, portrait: Path) -> None:
    message = refused("--preset", "smile", "--generator", str(portrait))
    assert "astronaut.png is not a readable" in message


def test_session_of_another_photo(
    refused: Run, portrait: Path, tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "session"
    align = ["align", str(portrait), "--session", str(folder), "--generator", str(tiny_file)]
    assert main([*align, "--device", "cpu"]) == 0
    capsys.readouterr()
    other = tmp_path / "other.png"
    with Image.open(portrait) as picture:
        picture.point([min(v + 1, 255) for v in range(256)] * 3).save(other)
    message = refused("--preset", "smile", "--session", str(folder), photo=other)
    assert "is a session of another photo" in message


def test_stages_out_of_order(
    portrait: Path, tiny_file: Path, tmp_path: Path, capsys: Capture
) -> None:
    session = ["--session", str(tmp_path / "s"), "--device", "cpu"]
    assert main(["invert", *session]) == 1
    assert "holds no session" in capsys.readouterr().err
    assert main(["align", str(portrait), *session, "--generator", str(tiny_file)]) == 0
    assert main(["drag", *session, "--preset", "smile"]) == 1
    assert "has no inversion: run photodrag invert" in capsys.readouterr().err
    assert main(["composite", *session, "-o", str(tmp_path / "o.png")]) == 1
    assert "has no edit yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["paint"],
        ["edit"],
        ["edit", "p.png", "-o", "o.png", "--drag", "1,2"],
        ["edit", "p.png", "-o", "o.png", "--face", "two"],
        ["edit", "p.png", "-o", "o.png", "--seed", str(2**63)],
        ["evaluate", "paired", "--seed", "-1"],
        ["drag", "--session", "s", "--from", "last"],
        ["bench", "drag", "--size", "256", "--points", "0"],
        ["edit", "p.png", "-o", "o.png", "--quality", "superb"],
    ],
)
def test_wrong_usage_exits_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2


def test_flags_of_a_random_generator_are_not_passed_over(capsys: Capture) -> None:
    assert main(["bench", "drag", "--points", "5"]) == 1
    assert "give its --size too" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
def test_names_that_are_no_text(tmp_path: Path, capsys: Capture) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.new("RGB", (300, 300), (90, 120, 60)).save(name)
    flags = ["--preset", "smile=0", "--crop", "0,0,300"]
    assert main(["edit", str(name), "-o", str(tmp_path / "o.png"), *flags]) == 1
    assert "only a face has presets" in capsys.readouterr().err
    out, report = tmp_path / os.fsdecode(b"\xe9.png"), tmp_path / "report.json"
    still = ["--drag", "9,9:9,9", "--crop", "0,0,300", "--mask", str(name)]
    assert main(["edit", str(name), "-o", str(out), *still, "--report", str(report)]) == 0
    assert "\\udce9.png: the edit moves nothing" in capsys.readouterr().out
    request = json.loads(report.read_text("utf-8"))["request"]
    assert Path(request["mask"]).read_bytes() == name.read_bytes()


def too_much() -> RuntimeError:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**59, dtype=torch.uint8)
    return failed.value


@pytest.mark.parametrize(
    "error", [too_much(), MemoryError(), torch.OutOfMemoryError("CUDA out of memory")]
)
def test_out_of_memory(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def starve(*_: object) -> Outcome:
        raise error

    monkeypatch.setattr(weights_commands, "weights_list", starve)
    assert main(["weights", "list"]) == 1
    assert capsys.readouterr().err.startswith("photodrag: error: out of memory: close")


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> Outcome:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(weights_commands, "weights_list", stumble)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(["weights", "list"])
