"""The studio as a person uses it: a real browser, a real server process, the real networks."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.photo import read_photo
from tests.pipeline.studio.browsing import Browser, Json, Visit, chromium, expect
from weights.dtypes import choose_dtype

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


@dataclass
class Studio:
    """`photodrag studio` as a process of its own, which can be killed and started again."""

    folder: Path
    port: int = 0
    address: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, on the port that it had before."""
        words = ["studio", "--no-browser", "--folder", str(self.folder)]
        words += ["--port", str(self.port)] if self.port else []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *words],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/\S+", line)
            if found:
                self.address, self.port = found[0], int(found[1])
                return
        raise AssertionError("the studio did not start")

    def end(self, how: signal.Signals) -> None:
        """Send it a signal and wait until it is gone."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    running = Studio(tmp_path_factory.mktemp("studio"))
    running.start()
    yield running
    running.end(signal.SIGINT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(studio: Studio, browser: Browser) -> Iterator[Visit]:
    visit = Visit.to(browser, studio.address)
    yield visit
    visit.close()


@pytest.fixture
def group(visit: Visit, shared: Path) -> Visit:
    """The photo of three astronauts, with nothing done to it or as the test before left it."""
    visit.open(str(shared / "data" / "photos" / "group_3_large.jpg"))
    return visit


def choose_second_face(visit: Visit) -> None:
    """Click the box of face 2 in the photo, and wait until it can be edited."""
    whole = [0, 0, visit.state["photo"]["width"], visit.state["photo"]["height"]]
    visit.look("0")
    x0, y0, x1, y1 = visit.state["photo"]["faces"][1]["box"]
    visit.page.mouse.click(*visit.shown_at(whole, ((x0 + x1) / 2, (y0 + y1) / 2)))
    visit.until(lambda state: state["face"] == 2 and state["inversion"] and not state["job"])


def start_afresh(visit: Visit) -> None:
    """Go back to the untouched face and an empty draft, whatever the tests before left."""
    if visit.state["shown"]:
        visit.page.click("#history button >> nth=0")
        visit.until(lambda state: state["shown"] == 0)
    draft = visit.state["draft"]
    if draft["points"]:
        visit.page.click("#points-clear")
    if draft["mask"] or draft["region"]:
        visit.page.click("#area-clear")
    visit.until(lambda state: not any(state["draft"].values()))


def pull_mouth_corners(visit: Visit, way: tuple[float, float]) -> None:
    """Pull the left corner by hand and mirror it."""
    corner = visit.face["landmarks"][48]
    visit.pull(visit.on_face(corner), way)
    visit.until(lambda state: len(state["draft"]["points"]) == 1)
    visit.page.keyboard.press("m")
    visit.until(lambda state: len(state["draft"]["points"]) == 2)


def paint_mouth(visit: Visit) -> str:
    """Paint over mouth and chin with a large brush; gives the mask's id."""
    left, right = visit.face["landmarks"][48], visit.face["landmarks"][54]
    middle = visit.on_face(((left[0] + right[0]) / 2, (left[1] + right[1]) / 2))
    visit.page.keyboard.press("b")
    for _ in range(9):
        visit.page.keyboard.press("]")
    visit.pull((middle[0] - 120, middle[1]), (240, 10))
    visit.until(lambda state: state["draft"]["mask"])
    visit.page.keyboard.press("v")
    return visit.state["draft"]["mask"]


def save(visit: Visit, folder: Path) -> Path:
    """Save the photo from the dialog; gives the file that the browser received."""
    visit.page.keyboard.press("Control+s")
    with visit.page.expect_download() as started:
        visit.page.click("[data-export=photo]")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def by_command(visit: Visit, folder: Path) -> Path:
    """Run the command that the dialog shows, in an empty folder; gives what it wrote."""
    words = shlex.split(visit.page.locator("#command").inner_text())
    assert words[0] == "photodrag"
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        stderr=subprocess.DEVNULL,
    )
    (written,) = folder.iterdir()
    return written


def assert_same_pixels(one: Path, other: Path) -> None:
    assert one.name == other.name
    assert np.array_equal(read_photo(one).pixels, read_photo(other).pixels)


def assert_same_edit(one: Path, other: Path, photo: Path) -> None:
    """Both files show the same edit of a photo: bit for bit, but not in float32.

    What its convolutions round to depends on the number of threads, and the studio leaves one core
    to its painter. A drag over a meadow then ends a little elsewhere.
    """
    if choose_dtype(torch.device("cpu")) == torch.bfloat16:
        assert_same_pixels(one, other)
    before = read_photo(photo).pixels.astype(int)
    ours, theirs = (read_photo(path).pixels - before for path in (one, other))
    alike = (ours * theirs).sum() / np.sqrt((ours**2).sum() * (theirs**2).sum())
    assert alike > 0.8


def points_of(state: Json) -> list[Json]:
    return state["draft"]["points"]


def test_an_edit_from_opening_to_saving(group: Visit, tmp_path: Path, shared: Path) -> None:
    page = group.page
    expect(page.locator("#faces button")).to_have_count(3)
    choose_second_face(group)
    pull_mouth_corners(group, (-60.0, -70.0))
    mask = paint_mouth(group)
    draft = group.state["draft"]

    # Run, and stop at the first frame: what was reached is kept.
    page.keyboard.press("Enter")
    group.wait(lambda: group.frames > 0)
    page.keyboard.press("Escape")
    group.until(lambda state: state["edits"] and not state["job"])
    stopped = group.state["edits"][0]
    assert stopped["stopped"] == "stopped"
    expect(page.locator("#history button")).to_have_count(2)
    after_run = group.state["draft"]

    # Continue: the points go on from where they are.
    page.keyboard.press("Enter")
    group.until(lambda state: len(state["edits"]) == 2 and not state["job"])
    continued = group.state["edits"][1]
    assert (continued["parent"], continued["continued"]) == (1, True)
    assert continued["distance"] < stopped["distance"]
    assert group.state["shown"] == 2

    # Undo both runs, then redo them.
    page.keyboard.press("Control+z")
    group.until(lambda state: state["shown"] == 1)
    assert points_of(group.state) == after_run["points"]
    page.keyboard.press("Control+z")
    group.until(lambda state: state["shown"] == 0)
    assert group.state["draft"] == draft
    page.keyboard.press("Control+Shift+z")
    group.until(lambda state: state["shown"] == 1)
    page.keyboard.press("Control+y")
    group.until(lambda state: state["shown"] == 2)

    # A reload loses nothing.
    before = group.idle()
    group.state = {}
    page.reload()
    group.until(lambda state: bool(state))
    for key in ("photo", "face", "inversion", "draft", "edits", "shown", "undo", "redo"):
        assert group.state[key] == before[key], key
    assert group.state["draft"]["mask"] == mask

    # What is saved is what the command gives.
    saved = save(group, tmp_path)
    photo = shared / "data" / "photos" / "group_3_large.jpg"
    assert_same_edit(saved, by_command(group, tmp_path / "command"), photo)
    assert not np.array_equal(read_photo(saved).pixels, read_photo(photo).pixels)


def test_a_branch_equals_its_command(group: Visit, shared: Path, tmp_path: Path) -> None:
    page = group.page
    choose_second_face(group)
    start_afresh(group)
    slider = page.locator("[data-preset=smile] input")
    slider.focus()
    for _ in range(16):
        slider.press("ArrowRight")
    group.until(lambda state: state["draft"]["presets"].get("smile") == pytest.approx(0.8))
    page.click("[data-region=mouth]")
    group.until(lambda state: state["draft"]["region"] == "mouth" or state["draft"]["mask"])
    edit = group.run()
    assert edit["parent"] == 0
    assert edit["rect"] is not None
    saved = save(group, tmp_path)
    command = page.locator("#command").inner_text()
    assert " edit " in command
    photo = shared / "data" / "photos" / "group_3_large.jpg"
    assert_same_edit(saved, by_command(group, tmp_path / "command"), photo)


def test_a_server_killed_in_mid_run(group: Visit, studio: Studio) -> None:
    page = group.page
    choose_second_face(group)
    start_afresh(group)
    pull_mouth_corners(group, (-30.0, -35.0))
    before = group.idle()
    frames = group.frames
    page.keyboard.press("Enter")
    group.wait(lambda: group.frames > frames)
    studio.end(signal.SIGKILL)
    expect(page.locator("#banner")).to_contain_text("nothing is lost")
    page.keyboard.press("Control+z")
    expect(page.locator("#toasts")).to_contain_text("does not answer")

    group.state = {}
    studio.start()
    group.until(lambda state: bool(state))
    expect(page.locator("#banner")).to_be_hidden()
    after = group.idle()
    assert after["photo"]["photo"] == before["photo"]["photo"]
    for key in ("face", "inversion", "settings"):
        assert after[key] == before[key], key
    # The run that was cut off is kept as far as it came, or its draft is as it was.
    assert [point["id"] for point in points_of(after)] == ["p1", "p2"]
    assert [point["to"] for point in points_of(after)] == [
        point["to"] for point in points_of(before)
    ]
    edits = len(after["edits"])
    page.click("#run")
    group.until(lambda state: len(state["edits"]) > edits and not state["job"])


def save_recipe(visit: Visit, folder: Path) -> Path:
    """Save the recipe from the dialog."""
    with visit.page.expect_download() as started:
        visit.page.click("[data-export=recipe]")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    visit.page.keyboard.press("Escape")
    return path


def test_a_photo_without_a_face(visit: Visit, shared: Path, tmp_path: Path) -> None:
    page = visit.page
    visit.open(str(shared / "data" / "photos" / "noface_grass.jpg"))
    expect(page.locator("#card-title")).to_have_text("No face found")
    expect(page.locator("#card")).to_contain_text("Open another photo")
    expect(page.locator("#run")).to_be_disabled()

    # The way out: a square drawn by hand, in which points are pulled.
    page.click("#card [data-do=tool-square]")
    visit.look("0")
    whole = [0, 0, visit.state["photo"]["width"], visit.state["photo"]["height"]]
    start, end = visit.shown_at(whole, (200.0, 150.0)), visit.shown_at(whole, (420.0, 330.0))
    visit.pull(start, (end[0] - start[0], end[1] - start[1]))
    visit.until(lambda state: state["inversion"] and not state["job"])
    x, y, side = map(int, visit.state["face"].split(","))
    assert (x, y, side) == pytest.approx((200, 150, 220), abs=2)
    expect(page.locator("#face-state")).not_to_be_empty()
    expect(page.locator("#presets")).to_be_hidden()
    visit.pull(visit.on_face((300.0, 250.0)), (40.0, -30.0))
    visit.until(lambda state: state["draft"]["points"])
    visit.run()
    saved = save(visit, tmp_path)
    assert f"--crop {x},{y},{side}" in page.locator("#command").inner_text()
    photo = shared / "data" / "photos" / "noface_grass.jpg"
    assert_same_edit(saved, by_command(visit, tmp_path / "command"), photo)
    recipe = save_recipe(visit, tmp_path)

    # Another square, then the recipe: it goes back to the first, and gives the same photo.
    page.keyboard.press("s")
    for name, value in (("x", "10"), ("y", "20"), ("side", "120")):
        page.fill(f"#square-{name}", value)
    page.keyboard.press("Enter")
    visit.until(lambda state: state["face"] == "10,20,120" and not state["job"])
    page.set_input_files("#file-input", str(recipe))
    visit.until(lambda state: state["face"] == f"{x},{y},{side}" and state["draft"]["points"])
    expect(page.locator(".toast")).to_contain_text("The recipe is set up")
    visit.until(lambda state: state["shown"] == 0 and not state["job"])
    (tmp_path / "again").mkdir()
    visit.run()
    assert_same_pixels(save(visit, tmp_path / "again"), saved)


def test_faces_that_are_too_small(visit: Visit, shared: Path) -> None:
    visit.open(str(shared / "data" / "photos" / "group_23_tiny.jpg"))
    expect(visit.page.locator("#card")).to_contain_text("take a larger version")
    visit.page.click("[data-face='3']")
    visit.until(lambda state: state["face"] == 3)
    expect(visit.page.locator("#face-state")).to_contain_text("Face 3 is too small")
    expect(visit.page.locator("#run")).to_be_disabled()


def test_a_recipe_of_another_photo(group: Visit, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text('{"photo": {"name": "b.jpg", "width": 7, "height": 9}, "request": {}}')
    group.page.set_input_files("#file-input", str(recipe))
    expect(group.page.locator(".toast.error")).to_contain_text("belongs to another photo, b.jpg")


def test_a_text_file(visit: Visit, tmp_path: Path) -> None:
    letter = tmp_path / "letter.jpg"
    letter.write_text("Dear photodrag")
    visit.page.set_input_files("#file-input", str(letter))
    expect(visit.page.locator(".toast.error")).to_contain_text("This is not a photo")
    expect(visit.page.locator(".toast.error")).to_contain_text("letter.jpg")
