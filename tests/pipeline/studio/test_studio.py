"""The whole way through a real studio: what a page does, what it is shown, what stays on disk."""

import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.cli import main
from pipeline.errors import SessionError
from pipeline.models import load_models
from pipeline.photo import read_photo
from pipeline.studio.errors import UnknownError
from pipeline.studio.shelf import Shelf
from tests.pipeline.studio.conftest import Serving
from tests.pipeline.studio.talking import Json, Talk
from tests.pipeline.test_frames import pictures_of

ENDLESS = {"name": "reference", "options": {"max_steps": 100_000}}
EMPTY: Json = {"points": [], "presets": {}, "expression": None, "region": None, "mask": None}


def corners(talk: Talk, pull: float = 0.02) -> list[Json]:
    """Both corners of the mouth, pulled outwards, and the tip of the nose held."""
    face = talk.state["photo"]["faces"][0]
    way = pull * face["square"]["size"]
    (ax, ay), (bx, by) = face["landmarks"][48], face["landmarks"][54]
    nose = face["landmarks"][30]
    return [
        {"id": "a", "at": [ax, ay], "to": [ax - way, ay - way], "lock": False},
        {"id": "b", "at": [bx, by], "to": [bx + way, by - way], "lock": False},
        {"id": "n", "at": nose, "to": [0, 0], "lock": True},
    ]


def ask_for(talk: Talk, **parts: Any) -> Json:
    return talk.do("draft", draft={**EMPTY, **parts})


def face_path(talk: Talk) -> str:
    return f"photos/{talk.state['photo']['photo']}/faces/{talk.state['face']}"


def exported(talk: Talk, **more: object) -> bytes:
    end = talk.work("export", **more)
    assert end["end"] == "done"
    answer = talk.ask(end["url"])
    assert end["name"] in answer.headers["content-disposition"]
    return answer.body


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size


def test_greeting(talk: Talk) -> None:
    assert talk.hello["protocol"] == 1
    assert {"smile", "raise-brows"} <= {preset["name"] for preset in talk.hello["presets"]}
    fields = {each["name"]: each for each in talk.hello["engines"][0]["fields"]}
    assert fields["space"]["kind"] == "choice"
    assert fields["space"]["choices"] == ["w", "w+"]
    assert fields["max_steps"]["kind"] == "integer"
    assert fields["max_steps"]["default"] > 0


def test_a_photo_that_was_inverted_is_ready_at_once(talk: Talk) -> None:
    photo = talk.state["photo"]
    assert (photo["width"], photo["height"], photo["kind"]) == (512, 512, "PNG")
    assert [face["face"] for face in photo["faces"]] == [1]
    assert photo["faces"][0]["inverted"]
    assert talk.state["inversion"]["quality"] == "fast"


def test_pictures(talk: Talk) -> None:
    photo = f"photos/{talk.state['photo']['photo']}"
    assert size_of(talk.ask(f"{photo}/picture").body) == (512, 512)
    assert max(size_of(talk.ask(f"{photo}/thumbnail").body)) == 192
    assert size_of(talk.ask(f"{photo}/window?rect=10,20,110,70").body) == (100, 50)
    assert talk.ask(f"{photo}/window?rect=10,20,5000,70").json["code"] == "bad-request"
    assert talk.ask(f"{photo}/window?rect=1,2,x,4").json["code"] == "bad-request"
    assert 100 < max(size_of(talk.ask(face_path(talk) + "/thumbnail").body)) <= 160
    region = Image.open(io.BytesIO(talk.ask(face_path(talk) + "/regions/mouth").body))
    x0, y0, x1, y1 = talk.state["photo"]["faces"][0]["window"]
    assert region.size == (x1 - x0, y1 - y0)
    (left, top), (right, bottom) = (
        talk.state["photo"]["faces"][0]["landmarks"][k] for k in (48, 57)
    )
    alpha = np.asarray(region.getchannel("A"))
    assert alpha[round((top + bottom) / 2 - y0), round((left + right) / 2 - x0)] == 255
    assert alpha[0, 0] == 0
    assert talk.ask(face_path(talk) + "/regions/elbow").status == 404


def test_a_run_is_shown_kept_and_exported_like_the_command_line_does(
    talk: Talk, tmp_path: Path, portrait: Path
) -> None:
    ask_for(talk, points=corners(talk), presets={"raise-brows": 0.5})
    end = talk.work("run")
    assert (end["end"], end["edit"]) == ("done", 1)
    state = talk.state
    assert state["shown"] == 1
    edit = state["edits"][0]
    assert (edit["parent"], edit["label"]) == (0, "2 points, raise-brows 0.5")
    # Points lie where they were tracked, the expression is spent.
    assert state["draft"]["presets"] == {}
    moved = {point["id"]: point for point in state["draft"]["points"]}
    assert moved["a"]["to"] == corners(talk)[0]["to"]
    assert moved["a"]["at"] != corners(talk)[0]["at"]
    assert moved["n"]["at"] == corners(talk)[2]["at"]
    picture = talk.ask(f"{face_path(talk)}/edits/1/picture").body
    x0, y0, x1, y1 = edit["rect"]
    assert size_of(picture) == (x1 - x0, y1 - y0)

    command = shlex.split(state["command"])
    assert command[:2] == ["photodrag", "edit"]
    output = tmp_path / "edited.png"
    command[command.index("-o") + 1] = str(output)
    assert main([*command[1:], "--device", "cpu"]) == 0
    saved = exported(talk, what="photo")
    assert saved == output.read_bytes()
    untouched = exported(talk, what="photo", edit=0)
    assert untouched == portrait.read_bytes()


def test_frames_show_the_composed_photo(talk: Talk) -> None:
    ask_for(talk, points=corners(talk, 0.05))
    end = talk.work("run")
    assert end["end"] == "done"
    assert talk.frames
    header, picture = talk.frames[0]
    x0, y0, x1, y1 = header["rect"]
    assert 0 <= x0 < x1 <= 512
    assert size_of(picture) == (x1 - x0, y1 - y0)
    assert header["ids"] == ["a", "b", "n"]
    assert len(header["points"]) == len(header["targets"]) == 3
    steps = [header["step"] for header, _ in talk.frames]
    assert steps == sorted(set(steps))


def test_a_page_that_draws_slowly_gets_one_frame_and_no_more(talk: Talk) -> None:
    talk.acknowledging = False
    talk.do("settings", settings={"engine": {"name": "reference", "options": {"max_steps": 60}}})
    ask_for(talk, points=corners(talk, 0.2), region="all")
    talk.work("run")
    assert len(talk.frames) == 1


def test_stop_keeps_the_state_and_continue_goes_on(talk: Talk) -> None:
    talk.do("settings", settings={"engine": ENDLESS})
    ask_for(talk, points=corners(talk, 0.2), region="all")
    job = talk.do("run")["job"]
    assert talk.do("undo")["code"] == "busy"
    assert talk.do("draft", draft=EMPTY)["code"] == "busy"
    talk.wait(lambda message: message["type"] == "progress" and message["distance"] is not None)
    assert talk.do("stop")["type"] == "done"
    assert talk.finish(job)["end"] == "stopped"
    first = talk.state["edits"][0]
    assert (first["stopped"], first["goes_on"]) == ("stopped", True)
    job = talk.do("continue")["job"]
    talk.wait(lambda message: message["type"] == "progress" and message["distance"] is not None)
    talk.do("stop")
    assert talk.finish(job)["edit"] == 2
    second = talk.state["edits"][1]
    assert (second["parent"], second["continued"]) == (1, True)
    assert "composite --session" in talk.state["command"]


def test_a_chain_is_what_composite_gives(talk: Talk, tmp_path: Path) -> None:
    ask_for(talk, points=corners(talk))
    talk.work("run")
    ask_for(talk, presets={"raise-brows": 1.0})
    assert talk.work("run")["edit"] == 2
    assert talk.state["edits"][1]["parent"] == 1
    command = shlex.split(talk.state["command"])
    output = tmp_path / "chain.png"
    command[command.index("-o") + 1] = str(output)
    assert main([*command[1:], "--device", "cpu"]) == 0
    assert exported(talk, what="photo") == output.read_bytes()
    # What the second edit was free to change and what the first was stay what they are.
    pixels = read_photo(output).pixels
    first = tmp_path / "first.png"
    first.write_bytes(exported(talk, what="photo", edit=1))
    assert (pixels != read_photo(first).pixels).any()


def test_a_cancelled_run_leaves_nothing(talk: Talk) -> None:
    talk.do("settings", settings={"engine": ENDLESS})
    ask_for(talk, points=corners(talk, 0.2), region="all")
    job = talk.do("run")["job"]
    talk.wait(lambda message: message["type"] == "progress" and message["distance"] is not None)
    talk.do("cancel", job=job)
    assert talk.finish(job)["end"] == "cancelled"
    assert talk.idle()["edits"] == []


def test_undo_redo_and_branches(talk: Talk) -> None:
    ask_for(talk, points=corners(talk))
    ask_for(talk, points=corners(talk)[:1])
    talk.do("undo")
    assert len(talk.state["draft"]["points"]) == 3
    talk.do("redo")
    assert len(talk.state["draft"]["points"]) == 1
    talk.work("run")
    assert talk.state["shown"] == 1
    talk.do("undo")
    assert talk.state["shown"] == 0
    assert talk.state["draft"]["points"] == corners(talk)[:1]
    assert talk.state["redo"]
    ask_for(talk, presets={"smile": 1.0})
    assert not talk.state["redo"]
    talk.work("run")
    assert [(e["edit"], e["parent"]) for e in talk.state["edits"]] == [(1, 0), (2, 0)]
    talk.do("show", edit=1)
    ask_for(talk, presets={"smile": 1.0})
    talk.work("run")
    assert [(e["edit"], e["parent"]) for e in talk.state["edits"]] == [(1, 0), (2, 0), (3, 1)]


def painted(talk: Talk, inside: tuple[float, float, float, float]) -> bytes:
    """A picture of the face's window at half its size: a rectangle, its right half grey."""
    x0, y0, x1, y1 = talk.state["photo"]["faces"][0]["window"]
    alpha = np.zeros(((y1 - y0) // 2, (x1 - x0) // 2), np.uint8)
    left, top, right, bottom = inside
    rows = slice(int(top - y0) // 2, int(bottom - y0) // 2)
    alpha[rows, int(left - x0) // 2 : int(right - x0) // 2] = 255
    alpha[rows, int(left + right - 2 * x0) // 4 : int(right - x0) // 2] = 100
    file = io.BytesIO()
    Image.fromarray(np.dstack([alpha] * 4), "RGBA").save(file, "PNG")
    return file.getvalue()


def test_a_painted_mask_is_honoured_and_comes_back(
    talk: Talk, tmp_path: Path, portrait: Path
) -> None:
    points = corners(talk, pull=0.1)
    (ax, ay), (bx, by) = points[0]["at"], points[1]["at"]
    inside = (ax - 20, min(ay, by) - 20, bx + 20, max(ay, by) + 12)
    mask = talk.ask(face_path(talk) + "/masks", painted(talk, inside)).json["mask"]
    shown = Image.open(io.BytesIO(talk.ask(f"{face_path(talk)}/masks/{mask}").body))
    x0, y0, x1, y1 = talk.state["photo"]["faces"][0]["window"]
    assert shown.size == (x1 - x0, y1 - y0)
    # A network without faces may come no nearer; this engine ends where it is then.
    options = {"max_steps": 9, "learning_rate": 0.1, "mask_weight": 0.0}
    talk.do("settings", settings={"engine": {"name": "reference", "options": options}})
    ask_for(talk, points=points, mask=mask)
    assert talk.work("run")["end"] == "done"
    saved = tmp_path / "masked.png"
    saved.write_bytes(exported(talk, what="photo"))
    changed = (read_photo(saved).pixels != read_photo(portrait).pixels).any(axis=2)
    assert changed.any()
    rows, columns = np.nonzero(changed)
    assert inside[0] - 3 <= columns.min() and columns.max() <= inside[2] + 3
    assert inside[1] - 3 <= rows.min() and rows.max() <= inside[3] + 3
    command = shlex.split(talk.state["command"])
    assert "--mask" in command
    output = tmp_path / "edited.png"
    command[command.index("-o") + 1] = str(output)
    assert main([*command[1:], "--device", "cpu"]) == 0
    assert output.read_bytes() == saved.read_bytes()
    assert talk.ask(face_path(talk) + "/masks", b"no picture").json["code"] == "bad-request"
    assert ask_for(talk, points=points, mask="0123456789abcdef")["type"] == "done"
    assert talk.work("run")["code"] == "unknown"


def test_an_expression_from_another_photo(talk: Talk, portrait: Path) -> None:
    content = io.BytesIO()
    with Image.open(portrait) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(content, "PNG")
    found = talk.upload(face_path(talk) + "/expressions", content.getvalue(), "twin.png").json
    assert (found["name"], found["faces"]) == ("twin.png", [found["expression"]])
    assert (
        max(size_of(talk.ask(f"{face_path(talk)}/expressions/{found['expression']}").body)) <= 160
    )
    ask_for(talk, expression={"expression": found["expression"], "name": "twin.png"})
    assert talk.work("run")["end"] == "done"
    assert talk.state["edits"][0]["label"] == "expression of twin.png"
    blank = io.BytesIO()
    Image.new("RGB", (200, 200), "white").save(blank, "PNG")
    answer = talk.upload(face_path(talk) + "/expressions", blank.getvalue(), "wall.png")
    assert (answer.status, answer.json["code"]) == (422, "no-face")


def test_any_face_of_another_photo_gives_its_expression(talk: Talk, portrait: Path) -> None:
    content = io.BytesIO()
    with Image.open(portrait) as picture:
        pair = Image.new("RGB", (1024, 512))
        pair.paste(picture.rotate(6), (0, 0))
        pair.paste(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    pair.save(content, "PNG")
    found = talk.upload(face_path(talk) + "/expressions", content.getvalue(), "pair.png").json
    faces = found["faces"]
    assert len(set(faces)) == 2
    middles: list[float] = []
    for face in faces:
        ask_for(talk, expression={"expression": face, "name": "pair.png", "faces": faces})
        assert talk.state["draft"]["expression"]["faces"] == faces
        assert talk.work("run")["end"] == "done"
        taken = json.loads(exported(talk, what="recipe"))["request"]["expression"]
        middles.append(sum(x for x, _ in taken) / len(taken))
        talk.do("show", edit=0)
    assert middles[0] < 512 < middles[1]
    assert [edit["label"] for edit in talk.state["edits"]] == [
        "expression of pair.png:1", "expression of pair.png:2",
    ]  # fmt: skip


def test_a_mask_from_a_file_is_what_the_command_line_takes(
    talk: Talk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = corners(talk)
    (ax, ay), (bx, by) = points[0]["at"], points[1]["at"]
    levels = np.full((512, 512), 5, np.uint8)  # nearly black is black
    levels[int(ay) - 20 : int(by) + 20, int(ax) - 20 : int(bx) + 20] = 200
    file, wrong = tmp_path / "mask.png", tmp_path / "wrong.png"
    Image.fromarray(levels).convert("RGB").save(file)
    Image.fromarray(levels[:100]).save(wrong)
    path = face_path(talk) + "/mask-files"
    ask_for(talk, points=points, mask=talk.upload(path, file.read_bytes(), "mask.png").json["mask"])
    assert talk.work("run")["end"] == "done"
    saved, output = exported(talk, what="photo"), tmp_path / "edited.png"
    command = shlex.split(talk.state["command"])
    command[command.index("-o") + 1] = str(output)
    command[command.index("--mask") + 1] = str(file)
    assert main([*command[1:], "--device", "cpu"]) == 0
    assert saved == output.read_bytes()
    # What is refused is refused in the command line's words.
    (tmp_path / "letter.png").write_text("Dear photodrag")
    Image.fromarray(np.zeros((512, 512), np.uint8)).save(tmp_path / "black.png")
    for name in ("wrong.png", "letter.png", "black.png"):
        command[command.index("--mask") + 1] = str(tmp_path / name)
        capsys.readouterr()
        assert main([*command[1:], "--device", "cpu", "--overwrite"]) == 1
        said = capsys.readouterr().err.replace(str(tmp_path / name), name)
        answer = talk.upload(path, (tmp_path / name).read_bytes(), name)
        assert answer.status == 400
        assert answer.json["message"] in said


def test_frames_and_recipe(talk: Talk, tmp_path: Path) -> None:
    ask_for(talk, points=corners(talk, 0.05))
    talk.work("run")
    with Image.open(io.BytesIO(exported(talk, what="frames"))) as gif:
        assert gif.format == "GIF"
        assert getattr(gif, "n_frames", 1) >= 2
        size, count = gif.size, getattr(gif, "n_frames", 1)
    film = tmp_path / "film.mp4"
    film.write_bytes(exported(talk, what="film"))
    shots = pictures_of(film)
    assert len(shots) >= count  # a GIF joins pictures that are alike
    assert shots[0].shape[1::-1] == tuple(side - side % 2 for side in size)
    recipe = tmp_path / "recipe.json"
    recipe.write_bytes(exported(talk, what="recipe"))
    output = tmp_path / "again.png"
    file = shlex.split(talk.state["command"])[2]
    networks = ["--generator", shlex.split(talk.state["command"])[
        shlex.split(talk.state["command"]).index("--generator") + 1
    ], "--finder", "builtin", "--quality", "fast", "--device", "cpu"]  # fmt: skip
    assert main(["edit", file, "--spec", str(recipe), *networks, "-o", str(output)]) == 0
    assert exported(talk, what="photo") == output.read_bytes()


def test_nothing_is_lost_between_two_lives(serving: Serving, folder: Path) -> None:
    with serving(folder) as talk:
        talk.open()
        ask_for(talk, points=corners(talk))
        talk.work("run")
        ask_for(talk, presets={"smile": 0.5})
        before = talk.state
    (folder / "photos" / before["photo"]["photo"] / "face-1").joinpath("nothing").mkdir()
    with serving(folder) as talk:
        talk.open()
        after = talk.idle()
        kept = ("photo", "face", "settings", "draft", "edits", "shown", "undo", "inversion")
        assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
        talk.do("undo")
        assert talk.state["draft"]["presets"] == {}
        picture = next((folder / "photos").rglob("pictures/0001.jpg"))
        whole = picture.read_bytes()
        picture.unlink()
        assert talk.ask(f"{face_path(talk)}/edits/1/picture").body == whole


@pytest.mark.parametrize(
    "desk",
    [
        "{",
        "[]",
        '{"photo": "0123456789abcdef"}',
        '{"photo": "../../token", "face": "x"}',
        '{"settings": {"engine": {"name": "default", "options": {"of-old": 1}}}}',
    ],
)
def test_a_damaged_desk_is_an_empty_one(serving: Serving, tmp_path: Path, desk: str) -> None:
    (tmp_path / "desk.json").write_text(desk)
    with serving(tmp_path) as talk:
        talk.open()
        assert talk.state["photo"] is None


@pytest.mark.parametrize("damage", ["{", '{"edits": [7], "moments": []}'])
def test_a_damaged_history_blocks_nothing_and_is_kept(
    serving: Serving, folder: Path, portrait: Path, damage: str
) -> None:
    face = next((folder / "photos").glob("*/face-1"))
    slot = next(face.glob("fast-0-*"))
    for other in (slot, face.with_name("face-2") / slot.name):
        other.mkdir(parents=True, exist_ok=True)
        (other / "document.json").write_text(damage)
    with serving(folder) as talk:
        talk.open()
        assert talk.idle()["face"] == 1
        assert "damaged" in talk.state["remark"]
        assert str(slot) in talk.state["remark"]
        assert ask_for(talk, presets={"smile": 1.0})["type"] == "done"
        assert talk.upload("photos", portrait.read_bytes(), "again.png").status == 200
        talk.until(lambda state: not state["remark"])
    (kept,) = slot.glob("document-damaged-*.json")
    assert kept.read_text() == damage


@pytest.mark.parametrize(
    "damage",
    [{"width": "wide"}, {"opened": None}, {"notes": 7}, {"file": "gone.png"}, {"more": 1}],
)
def test_a_photo_whose_record_is_damaged_is_not_there(
    folder: Path, damage: dict[str, object]
) -> None:
    shelf = Shelf(folder, "")
    (record,) = shelf.photos()
    about = record.folder / "about.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), **damage}))
    assert shelf.photos() == []
    with pytest.raises(UnknownError, match="open it again"):
        shelf.record(record.photo)
    assert shelf.add_photo(record.file.read_bytes(), "again.png").photo == record.photo
    assert len(shelf.photos()) == 1


def test_a_folder_is_one_studios(serving: Serving, tmp_path: Path) -> None:
    taken = f"another studio is open in {tmp_path}: "
    with serving(tmp_path), pytest.raises(SessionError, match=taken):
        Shelf(tmp_path, "")
    with serving(tmp_path) as talk:
        talk.open()


def test_forgetting_a_photo_deletes_it(talk: Talk, folder: Path) -> None:
    photo = talk.state["photo"]["photo"]
    assert talk.work("forget", photo=photo)["end"] == "done"
    assert talk.state["photo"] is None
    assert talk.state["photos"] == []
    assert not any((folder / "photos").iterdir())
    assert talk.ask(f"photos/{photo}/picture").status == 404


def test_a_photo_without_a_face(talk: Talk) -> None:
    blank = io.BytesIO()
    Image.new("RGB", (300, 200), "white").save(blank, "PNG")
    talk.finish(talk.upload("photos", blank.getvalue(), "wall.png").json["job"])
    assert talk.state["photo"]["faces"] == []
    assert talk.state["face"] is None
    assert talk.work("invert")["code"] == "unknown"


@pytest.mark.parametrize("continued", [False, True])
def test_what_cannot_be_run_says_why(talk: Talk, continued: bool) -> None:
    if continued:
        assert talk.work("continue")["code"] == "bad-request"
        return
    ask_for(talk)
    end = talk.work("run")
    assert (end["end"], end["code"]) == ("failed", "request")
    ask_for(talk, points=[{"id": "a", "at": [0, 0], "to": [5, 5], "lock": False}])
    end = talk.work("run")
    assert end["code"] == "request"
    assert "outside" in end["message"]
    talk.do("settings", settings={"quality": "best"})
    assert talk.state["inversion"] is None
    assert talk.work("run")["code"] == "no-inversion"


def test_what_hides_the_face_is_left_out(talk: Talk, tmp_path: Path) -> None:
    before, (x, y) = talk.state["inversion"]["id"], talk.state["photo"]["faces"][0]["landmarks"][8]
    inside = (x - 40, y - 30, x + 40, y + 30)
    mask = talk.ask(face_path(talk) + "/masks", painted(talk, inside)).json["mask"]
    assert talk.do("hide", mask="0123456789abcdef")["code"] == "unknown"
    ask_for(talk, presets={"raise-brows": 1.0})
    talk.do("hide", mask=mask)
    assert talk.state["hidden"] == mask
    assert not talk.state["inversion"]
    assert talk.state["draft"]["presets"]
    talk.work("invert")
    assert talk.state["inversion"]["id"] not in (None, before)
    assert talk.work("run")["end"] == "done"
    command = shlex.split(talk.state["command"])
    assert "--hidden" in command
    output = tmp_path / "edited.png"
    command[command.index("-o") + 1] = str(output)
    assert main([*command[1:], "--device", "cpu"]) == 0
    assert output.read_bytes() == exported(talk, what="photo")
    assert json.loads(exported(talk, what="recipe"))["hidden"].endswith(f"{mask}.png")
    talk.do("hide", mask=None)
    assert talk.state["inversion"]["id"] == before
    assert talk.state["edits"] == []


def test_options_out_of_range_are_refused_where_they_are_set(talk: Talk) -> None:
    before = talk.state["settings"]
    for options in ({"max_steps": 0}, {"radius": -1.0}, {"blocks": [7]}):
        answer = talk.do("settings", settings={"engine": {"name": "default", "options": options}})
        assert answer["type"] == "error"
    assert talk.state["settings"] == before


def test_points_that_may_slip_are_told(talk: Talk) -> None:
    square = talk.state["photo"]["faces"][0]["square"]
    x, y = square["centre"][0] - 0.45 * square["size"], square["centre"][1] - 0.45 * square["size"]
    point = {"id": "a", "at": [x, y], "to": [x + 20, y], "lock": False}
    ask_for(talk, points=[point], region="all")
    talk.work("run")
    assert "Point 1 at" in talk.state["edits"][0]["message"]


def test_a_square_is_edited_as_the_command_line_does_it(talk: Talk, tmp_path: Path) -> None:
    assert "reaches out of the photo" in talk.do("face", face="400,0,200")["message"]
    assert "at least 64 are needed" in talk.do("face", face="0,0,20")["message"]
    talk.do("face", face="100,100,300")
    assert talk.state["face"] == "100,100,300"
    # Drawn again at once: the first one gives way.
    talk.do("face", face="90,110,320")
    assert talk.idle()["face"] == "90,110,320"
    assert [each["face"] for each in talk.state["photo"]["faces"]] == [1, "90,110,320"]
    talk.work("invert")
    square = talk.state["photo"]["faces"][1]
    assert (square["window"], square["landmarks"]) == ([90, 110, 410, 430], None)
    assert size_of(talk.ask(face_path(talk) + "/thumbnail").body) == (160, 160)
    ask_for(talk, presets={"smile": 1.0})
    assert "only a face has presets" in talk.work("run")["message"]
    point = {"id": "a", "at": [250, 270], "to": [262, 262], "lock": False}
    ask_for(talk, points=[point])
    assert talk.work("run")["end"] == "done"
    command = shlex.split(talk.state["command"])
    assert command[command.index("--crop") + 1] == "90,110,320"
    output = tmp_path / "edited.png"
    command[command.index("-o") + 1] = str(output)
    assert main([*command[1:], "--device", "cpu"]) == 0
    assert exported(talk, what="photo") == output.read_bytes()
    assert json.loads(exported(talk, what="recipe"))["crop"] == [90, 110, 320]
    assert talk.do("drop", face=1)["code"] == "bad-request"
    talk.work("drop", face="90,110,320")
    assert [each["face"] for each in talk.state["photo"]["faces"]] == [1]
    assert (talk.state["face"], talk.state["layers"]) == (None, [])


def test_a_generator_of_no_faces_takes_the_middle_of_the_photo(
    cat_file: Path, serving: Serving, portrait: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "cats", load_models(str(cat_file), device="cpu")) as talk:
        talk.open()
        with Image.open(portrait) as picture:
            picture.crop((0, 0, 512, 400)).save(tmp_path / "wide.png")
        answer = talk.upload("photos", (tmp_path / "wide.png").read_bytes(), "wide.png").json
        assert "job" not in answer
        talk.until(lambda state: state["face"] == "56,0,400")
        assert talk.do("face", face=1)["code"] == "unknown"
        talk.work("invert")
        point = {"id": "a", "at": [250, 200], "to": [262, 192], "lock": False}
        ask_for(talk, points=[point])
        assert talk.work("run")["end"] == "done"
        command = shlex.split(talk.state["command"])
        output = tmp_path / "edited.png"
        command[command.index("-o") + 1] = str(output)
        assert main([*command[1:], "--device", "cpu"]) == 0
        assert exported(talk, what="photo") == output.read_bytes()


def test_edits_of_two_faces_add_up(talk: Talk, portrait: Path, tmp_path: Path) -> None:
    with Image.open(portrait) as picture:
        pair = Image.new("RGB", (1024, 512))
        pair.paste(picture, (0, 0))
        pair.paste(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    twins = tmp_path / "twins.png"
    pair.save(twins)
    talk.finish(talk.upload("photos", twins.read_bytes(), twins.name).json["job"])
    assert [face["face"] for face in talk.state["photo"]["faces"]] == [1, 2]
    assert talk.state["face"] is None
    for face in (1, 2):
        talk.do("face", face=face)
        talk.work("invert")
        ask_for(talk, presets={"raise-brows": 1.0})
        assert talk.work("run")["end"] == "done"
    assert [(layer["face"], layer["edit"]) for layer in talk.state["layers"]] == [(1, 1), (2, 1)]
    for layer in talk.state["layers"]:
        path = f"photos/{talk.state['photo']['photo']}/faces/{layer['face']}/edits/1/picture"
        x0, y0, x1, y1 = layer["rect"]
        assert size_of(talk.ask(f"{path}?v={layer['inversion']}").body) == (x1 - x0, y1 - y0)
    saved = tmp_path / "both.png"
    saved.write_bytes(exported(talk, what="photo"))
    changed = (read_photo(saved).pixels != read_photo(twins).pixels).any(axis=(0, 2))
    assert changed[:512].any()
    assert changed[512:].any()
    first = tmp_path / "first.png"
    talk.do("show", edit=0)
    assert [layer["face"] for layer in talk.state["layers"]] == [1]
    first.write_bytes(exported(talk, what="photo"))
    assert (read_photo(first).pixels[:, :512] == read_photo(saved).pixels[:, :512]).all()
    assert (read_photo(first).pixels[:, 512:] == read_photo(twins).pixels[:, 512:]).all()
