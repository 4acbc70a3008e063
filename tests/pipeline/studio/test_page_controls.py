"""The page's controls in a real Chromium; the networks are tiny, so that all of it is quick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from pipeline.requestfile import read_mask
from tests.pipeline.studio.browsing import Browser, Json, Visit, chromium, expect
from tests.pipeline.studio.conftest import Serving

pytestmark = pytest.mark.slow

UNNAMED = """() => [...document.querySelectorAll("button, input, select, summary, canvas")]
  .filter((one) => one.checkVisibility() && !one.hidden)
  .filter((one) => one.ariaHidden !== "true")
  .filter((one) => !one.ariaLabel && !one.labels?.[0]?.textContent.trim())
  .filter((one) => !one.textContent.trim())
  .map((one) => one.outerHTML)"""

PIXELS = """() => document.querySelector("#picture").toDataURL()"""

GIVE_FILE = """([kind, target, bytes, name, type]) => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(bytes)], name, { type }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: given, bubbles: true })
    : new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true });
  document.querySelector(target).dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(serving: Serving, folder: Path, browser: Browser) -> Iterator[Visit]:
    """A page in which the portrait is open and inverted."""
    with serving(folder) as talk:
        visit = Visit.to(browser, talk.address)
        visit.page.locator("#overlay").focus()
        yield visit
        visit.close()


def pull_chin(visit: Visit) -> Json:
    """One point at the chin, pulled down; gives it."""
    visit.pull(visit.on_face(visit.face["landmarks"][8]), (0.0, 30.0))
    visit.until(lambda state: state["draft"]["points"])
    return visit.state["draft"]["points"][0]


def give(visit: Visit, kind: str, target: str, path: Path) -> None:
    """Paste or drop a file."""
    content = list(path.read_bytes())
    visit.page.evaluate(GIVE_FILE, [kind, target, content, path.name, "image/png"])


def points(visit: Visit) -> list[Json]:
    return visit.state["draft"]["points"]


def test_everything_has_a_name(visit: Visit) -> None:
    pull_chin(visit)
    visit.page.keyboard.press("b")
    visit.page.click("#options summary")
    assert visit.page.evaluate(UNNAMED) == []


def test_a_point_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.select_option("#points-add", label="Chin")
    visit.until(lambda _: len(points(visit)) == 1)
    expect(page.locator("#points")).to_contain_text("Chin")
    page.locator("#overlay").focus()
    page.keyboard.press("ArrowDown")
    visit.until(lambda _: points(visit)[0]["to"][1] > points(visit)[0]["at"][1])
    page.keyboard.press("k")
    visit.until(lambda _: points(visit)[0]["lock"])
    page.keyboard.press("Delete")
    visit.until(lambda _: points(visit) == [])
    page.keyboard.press("Control+z")
    visit.until(lambda _: len(points(visit)) == 1)


def test_both_ends_of_a_point_can_be_moved(visit: Visit) -> None:
    pulled = pull_chin(visit)
    visit.page.keyboard.press("Escape")
    visit.pull(visit.on_face(pulled["to"]), (25.0, 0.0))
    visit.until(lambda _: points(visit)[0]["to"][0] > pulled["to"][0] + 1)
    assert points(visit)[0]["at"] == pulled["at"]
    target = points(visit)[0]["to"]
    visit.pull(visit.on_face(pulled["at"]), (-25.0, -20.0))
    visit.until(lambda _: points(visit)[0]["at"][0] < pulled["at"][0] - 1)
    assert points(visit)[0]["to"][0] < target[0]


def test_a_target_grabbed_beside_its_middle_does_not_jump(visit: Visit) -> None:
    pulled = pull_chin(visit)
    visit.page.keyboard.press("Escape")
    x, y = visit.on_face(pulled["to"])
    visit.pull((x + 7, y + 5), (-40.0, 0.0))
    visit.until(lambda _: points(visit)[0]["to"] != pulled["to"])
    beside = visit.on_face(points(visit)[0]["to"])
    assert beside == pytest.approx((x - 40, y), abs=0.1)


def test_escape_takes_back_what_is_being_pulled(visit: Visit) -> None:
    pulled = pull_chin(visit)
    x, y = visit.on_face(pulled["to"])
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x + 50, y, steps=4)
    expect(visit.page.locator("#points .way")).not_to_have_text("0 px")
    visit.page.keyboard.press("Escape")
    visit.page.mouse.move(x + 80, y, steps=2)
    visit.page.mouse.up()
    visit.page.wait_for_timeout(100)
    assert points(visit) == [pulled]


def test_landmarks_by_the_keyboard(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("p")
    expect(page.locator("#points-add")).to_be_focused()
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    visit.until(lambda _: len(points(visit)) == 1)
    expect(page.locator("#points")).to_contain_text("Chin")
    page.keyboard.press("Shift+ArrowDown")
    visit.until(lambda _: points(visit)[0]["to"] != points(visit)[0]["at"])


def test_arrows_walk_a_toolbar_and_tab_leaves_it(visit: Visit) -> None:
    page = visit.page
    page.locator("[data-tool=drag]").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-tool=paint]")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#overlay")).to_be_focused()
    # The other tools can be reached again a moment after they have been passed over.
    expect(page.locator("[data-show=loupe]")).to_have_attribute("tabindex", "0")
    page.keyboard.press("Shift+Tab")
    expect(page.locator("[data-show=loupe]")).to_be_focused()


def test_the_focus_outlasts_a_list_that_is_built_anew(visit: Visit) -> None:
    pull_chin(visit)
    lock = visit.page.locator("#points li button").nth(1)
    lock.focus()
    lock.press("Enter")
    visit.until(lambda _: points(visit)[0]["lock"])
    expect(lock).to_have_attribute("aria-pressed", "true")
    expect(lock).to_be_focused()


def test_landmarks_attract(visit: Visit) -> None:
    visit.page.keyboard.press("l")
    x, y = visit.on_face(visit.face["landmarks"][30])
    visit.pull((x + 5, y - 4), (10.0, 20.0))
    visit.until(lambda _: points(visit))
    assert points(visit)[0]["at"] == pytest.approx(visit.face["landmarks"][30], abs=0.01)


def test_a_slider_is_one_step_of_undo(visit: Visit) -> None:
    slider = visit.page.locator("[data-preset=smile] input")
    box = slider.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    visit.pull((box["x"] + box["width"] / 2, middle), (40.0, 0.0))
    visit.until(lambda state: state["draft"]["presets"].get("smile", 0) > 0.3)
    visit.page.click("#undo")
    visit.until(lambda state: not state["draft"]["presets"])
    expect(slider).to_have_value("0")
    expect(visit.page.locator("#undo")).to_be_disabled()


def test_regions_add_up_and_can_be_inverted(visit: Visit) -> None:
    page = visit.page
    page.click("[data-region=mouth]")
    visit.until(lambda state: state["draft"]["region"] == "mouth")
    expect(page.locator("[data-region=mouth]")).to_have_attribute("aria-pressed", "true")
    page.click("[data-region=eyes]")
    both = visit.until(lambda state: state["draft"]["mask"])["draft"]["mask"]
    page.click("#area-invert")
    visit.until(lambda state: state["draft"]["mask"] not in (None, both))
    page.click("#area-clear")
    visit.until(lambda state: not state["draft"]["mask"] and not state["draft"]["region"])


def test_what_was_erased_is_not_painted(visit: Visit) -> None:
    page = visit.page
    start = visit.on_face(visit.face["landmarks"][51])
    page.keyboard.press("b")
    visit.pull(start, (60.0, 0.0))
    painted = visit.until(lambda state: state["draft"]["mask"])["draft"]["mask"]
    page.keyboard.press("e")
    for _ in range(6):
        page.keyboard.press("]")
    visit.pull(start, (60.0, 0.0))
    visit.until(lambda state: state["draft"]["mask"] != painted)
    assert visit.state["draft"]["mask"] is None


def test_a_run_shows_and_hides_its_edit(visit: Visit) -> None:
    page = visit.page
    pull_chin(visit)
    untouched = page.evaluate(PIXELS)
    edit = visit.run()
    assert edit["rect"] is not None
    assert visit.frames > 0
    page.keyboard.press("Escape")
    visit.wait(lambda: page.evaluate(PIXELS) != untouched)
    page.locator("#overlay").focus()
    page.keyboard.down("o")
    visit.wait(lambda: page.evaluate(PIXELS) == untouched)
    page.keyboard.up("o")
    visit.wait(lambda: page.evaluate(PIXELS) != untouched)
    page.click("#history button >> nth=0")
    visit.wait(lambda: page.evaluate(PIXELS) == untouched)
    expect(page.locator("#export")).to_be_disabled()


def test_comparing_is_for_looking(visit: Visit) -> None:
    page = visit.page
    pull_chin(visit)
    before = points(visit)
    page.keyboard.press("c")
    divider = page.locator("#compare-range")
    expect(divider).to_have_value("0.5")
    page.keyboard.press("Shift+ArrowLeft")
    expect(divider).not_to_have_value("0.5")
    expect(page.locator("#point-bar")).to_be_hidden()
    visit.pull(visit.on_face(before[0]["to"]), (0.0, 25.0))
    page.wait_for_timeout(100)
    assert points(visit) == before
    page.keyboard.press("v")
    expect(divider).to_be_hidden()


def test_looking_at_edits_leaves_nothing_behind(visit: Visit) -> None:
    page = visit.page
    page.locator("[data-preset=smile] input").press("End")
    visit.until(lambda state: state["draft"]["presets"])
    visit.run()
    counts = page.context.new_cdp_session(page)
    counts.send("Performance.enable")

    def listeners() -> float:
        page.mouse.move(5, 5)
        counts.send("HeapProfiler.collectGarbage")
        metrics = counts.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "JSEventListeners")

    def look(times: int) -> None:
        for edit in (0, 1) * times:
            page.click(f"#history button >> nth={edit}")
            visit.until(lambda state, edit=edit: state["shown"] == edit)

    look(1)
    before = listeners()
    look(6)
    assert listeners() <= before


def test_frames_and_recipe_can_be_saved(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.locator("[data-preset=smile] input").press("End")
    visit.until(lambda state: state["draft"]["presets"])
    visit.run()
    page.keyboard.press("Control+s")
    for what, beginning in (("frames", b"GIF8"), ("recipe", b"{")):
        with page.expect_download() as started:
            page.click(f"[data-export={what}]")
        path = tmp_path / started.value.suggested_filename
        started.value.save_as(path)
        assert path.read_bytes().startswith(beginning)
        visit.idle()
    assert json.loads(path.read_text())["request"]["presets"] == {"smile": 2}


def test_options_of_the_engine_are_in_the_recipe(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.click("#options summary")
    field = page.locator("#fields .field")
    # From one field to the next: what was typed before stays.
    for title, value in (("Radius", "9"), ("Max steps", "3"), ("Blocks", "16, 32")):
        field.filter(has_text=title).locator("input").first.fill(value)
    page.keyboard.press("Enter")
    chosen = {"radius": 9, "max_steps": 3, "blocks": [16, 32]}
    visit.until(lambda state: state["settings"]["engine"]["options"] == chosen)
    page.locator("[data-preset=smile] input").press("End")
    visit.until(lambda state: state["draft"]["presets"])
    visit.run()
    page.keyboard.press("Control+s")
    with page.expect_download() as started:
        page.click("[data-export=recipe]")
    started.value.save_as(tmp_path / "recipe.json")
    assert json.loads((tmp_path / "recipe.json").read_text())["request"]["options"] == chosen
    words = page.locator("#command").inner_text()
    assert "--radius=9" in words
    assert "--blocks" in words or "--block=16,32" in words


def test_soft_paint_arrives_as_grey(visit: Visit, folder: Path) -> None:
    page = visit.page
    page.keyboard.press("b")
    for _ in range(5):
        page.keyboard.press("Shift+]")
    visit.pull(visit.on_face(visit.face["landmarks"][51]), (40.0, 0.0))
    mask = visit.until(lambda state: state["draft"]["mask"])["draft"]["mask"]
    (file,) = folder.glob(f"photos/*/face-1/masks/{mask}.png")
    levels = read_mask(file)
    assert levels.max() == 255
    grey = (levels > 60) & (levels < 200)
    assert grey.sum() > 100


def test_what_is_painted_can_be_left_out(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("b")
    expect(page.locator("#hide")).to_be_disabled()
    visit.pull(visit.on_face(visit.face["landmarks"][8]), (30.0, 0.0))
    mask = visit.until(lambda state: state["draft"]["mask"])["draft"]["mask"]
    page.click("#hide")
    visit.until(lambda state: state["hidden"] == mask and not state["draft"]["mask"])
    expect(page.locator("#prepare")).to_be_visible()
    expect(page.locator("#hide-row")).to_be_hidden()
    page.click("#hidden-clear")
    visit.until(lambda state: not state["hidden"] and state["draft"]["mask"] == mask)
    expect(page.locator("#hidden-chosen")).to_be_hidden()


def test_an_option_out_of_range_is_refused_where_it_is_typed(visit: Visit) -> None:
    page = visit.page
    page.click("#options summary")
    field = page.locator("#fields .field").filter(has_text="Max steps").locator("input")
    field.fill("0")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("max steps")
    expect(field).to_have_value("")


def test_an_expression_dropped_on_its_button(visit: Visit, portrait: Path) -> None:
    give(visit, "drop", "#expression-pick", portrait)
    visit.until(lambda state: state["draft"]["expression"])
    expect(visit.page.locator("#expression-name")).to_have_text(portrait.name)
    visit.page.click("#expression-clear")
    visit.until(lambda state: not state["draft"]["expression"])


def test_a_photo_dropped_or_pasted_is_opened(visit: Visit, portrait: Path, tmp_path: Path) -> None:
    for kind in ("drop", "paste"):
        copy = tmp_path / f"{kind}{portrait.suffix}"
        # One byte behind the picture makes it another file.
        copy.write_bytes(portrait.read_bytes() + kind.encode())
        give(visit, kind, "body", copy)
        visit.until(lambda state, name=copy.name: state["photo"]["name"] == name)
    visit.page.click("#home")
    visit.until(lambda state: state["photo"] is None)
    expect(visit.page.locator("#recent-list li")).to_have_count(3)
    visit.page.locator("#recent-list .shot").last.click()
    visit.until(lambda state: state["photo"])


def test_fingers(serving: Serving, folder: Path, browser: Browser) -> None:
    with serving(folder) as talk:
        visit = Visit.to(browser, talk.address, has_touch=True, is_mobile=True)
        chin = visit.on_face(visit.face["landmarks"][8])
        fingers = visit.page.context.new_cdp_session(visit.page)

        def touch(kind: str, *places: tuple[float, float]) -> None:
            spots = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(places)]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

        touch("touchStart", chin)
        for way in (5, 15, 30):
            touch("touchMove", (chin[0], chin[1] + way))
        touch("touchEnd")
        visit.until(lambda _: len(points(visit)) == 1)
        zoom = visit.page.locator("#zoom").inner_text()
        touch("touchStart", (400, 300))
        touch("touchStart", (400, 300), (600, 300))
        touch("touchMove", (350, 300), (650, 300))
        touch("touchMove", (300, 300), (700, 300))
        touch("touchEnd")
        expect(visit.page.locator("#zoom")).not_to_have_text(zoom)
        visit.page.wait_for_timeout(100)
        # The pinch neither set a point nor moved the one that is there.
        assert len(points(visit)) == 1
        # Two fingers that keep their distance move the photo only.
        zoom = visit.page.locator("#zoom").inner_text()
        touch("touchStart", (400, 300))
        touch("touchStart", (400, 300), (600, 300))
        for way in (10, 25, 40):
            touch("touchMove", (400 + way, 300 - way), (600 + way, 300 - way))
        touch("touchEnd")
        visit.look("v")
        expect(visit.page.locator("#zoom")).to_have_text(zoom)
        # A finger that scrolls the panel does not move the slider it began on.
        visit.page.set_viewport_size({"width": 1280, "height": 500})
        box = visit.page.locator("[data-preset=smile] input").bounding_box()
        assert box is not None
        place = (box["x"] + 20, box["y"] + box["height"] / 2)
        touch("touchStart", place)
        for way in range(20, 200, 20):
            touch("touchMove", (place[0], place[1] - way))
        touch("touchEnd")
        visit.wait(lambda: visit.page.evaluate("() => document.querySelector('.panels').scrollTop"))
        visit.page.wait_for_timeout(100)
        assert not visit.state["draft"]["presets"]
        visit.close()


def test_the_wheel_zooms_and_the_space_bar_pans(visit: Visit) -> None:
    page = visit.page
    # A click on a button does not keep the space bar for itself.
    page.click("#faces button")
    chin = visit.on_face(visit.face["landmarks"][8])
    before = page.locator("#zoom").inner_text()
    page.mouse.move(*chin)
    page.mouse.wheel(0, -300)
    expect(page.locator("#zoom")).not_to_have_text(before)
    page.keyboard.down("Space")
    visit.pull(chin, (80.0, 40.0))
    page.keyboard.up("Space")
    # What lay under the pointer moved along: pressing there finds the same place of the photo.
    visit.pull((chin[0] + 80, chin[1] + 40), (0.0, 20.0))
    visit.until(lambda _: points(visit))
    assert points(visit)[0]["at"] == pytest.approx(visit.face["landmarks"][8], abs=1.0)


def test_light_and_dark_are_remembered(visit: Visit) -> None:
    page = visit.page
    shade = "() => getComputedStyle(document.body).backgroundColor"
    before = cast("str", page.evaluate(shade))
    page.click("#theme")
    assert page.evaluate(shade) != before
    visit.state = {}
    page.reload()
    visit.until(lambda state: bool(state))
    assert page.evaluate(shade) != before


def test_the_list_of_shortcuts(visit: Visit) -> None:
    visit.page.keyboard.press("?")
    expect(visit.page.locator("#help-dialog")).to_contain_text("Mirror the chosen point")
    visit.page.keyboard.press("Escape")
    expect(visit.page.locator("#help-dialog")).to_be_hidden()


def test_a_narrow_window_still_shows_everything(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1024, "height": 700})
    for place in ("#run", "#export", "#undo", "#zoom", "#history button", "[data-tool=erase]"):
        expect(visit.page.locator(place).first).to_be_in_viewport(ratio=1)
    assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= 1024
