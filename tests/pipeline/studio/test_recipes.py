"""Recipes: what the studio saves is read again, by itself and by the command line alike."""

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.cli import main
from tests.pipeline.studio.conftest import Serving
from tests.pipeline.studio.talking import Answer, Json, Talk
from tests.pipeline.studio.test_studio import (
    EMPTY,
    ask_for,
    corners,
    exported,
    face_path,
    painted,
)


@pytest.fixture(scope="module")
def reading(
    serving: Serving, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Talk]:
    """A page that is asked to read recipes, and refuses most."""
    folder = tmp_path_factory.mktemp("reading") / "studio"
    shutil.copytree(prepared, folder)
    with serving(folder) as talk:
        yield talk.open()


def recipe_of(talk: Talk) -> Json:
    return json.loads(exported(talk, what="recipe"))


def send(talk: Talk, recipe: object) -> Answer:
    content = recipe if isinstance(recipe, bytes) else json.dumps(recipe).encode()
    answer = talk.upload(f"photos/{talk.state['photo']['photo']}/recipes", content, "r.json")
    talk.catch_up()
    return answer


def unpack(talk: Talk, recipe: object) -> list[Json]:
    answer = send(talk, recipe)
    assert answer.status == 200, answer.json
    return answer.json["edits"]


def refusal(talk: Talk, recipe: object) -> str:
    answer = send(talk, recipe)
    assert 400 <= answer.status < 500
    assert "Traceback" not in answer.json["message"]
    return answer.json["message"]


def set_up(talk: Talk, edit: Json) -> None:
    """What the page does with an edit of a recipe."""
    talk.do("settings", settings=edit["settings"])
    talk.do("face", face=edit["face"])
    if "hidden" in edit:
        talk.do("hide", mask=edit["hidden"])
    talk.do("show", edit=0)
    assert talk.do("draft", draft=edit["draft"])["type"] == "done"


def test_a_saved_recipe_gives_the_same_photo_again(talk: Talk) -> None:
    points = corners(talk)
    (ax, ay), (bx, by) = points[0]["at"], points[1]["at"]
    inside = (ax - 30, min(ay, by) - 50, bx + 30, max(ay, by) + 60)
    mask = talk.ask(face_path(talk) + "/masks", painted(talk, inside)).json["mask"]
    talk.do("settings", settings={"engine": {"name": "default", "options": {"radius": 5.0}}})
    ask_for(talk, points=points, presets={"smile": -0.4}, mask=mask)
    assert talk.work("run")["end"] == "done"
    saved, recipe = exported(talk, what="photo"), recipe_of(talk)
    talk.do("settings", settings={"quality": "best", "engine": {"name": "paper", "options": {}}})
    ask_for(talk)
    (edit,) = unpack(talk, recipe)
    assert (edit["face"], edit["notes"], edit["hidden"], edit["follows"]) == (1, [], None, False)
    assert edit["draft"]["mask"] == mask
    set_up(talk, edit)
    assert talk.state["settings"]["quality"] == "fast"
    assert talk.work("run")["edit"] == 2
    assert talk.state["edits"][1]["parent"] == 0
    assert exported(talk, what="photo") == saved


def test_what_spec_reads_is_set_up_and_gives_the_command_lines_pixels(
    talk: Talk, tmp_path: Path, portrait: Path, tiny_file: Path
) -> None:
    (x, y), _ = talk.state["photo"]["faces"][0]["landmarks"][48:50]
    spec: Json = {
        "handles": [[x, y], [x + 20.123456, y]],
        "targets": [[x - 8.5, y - 6.25], [x + 20.123456, y]],
        "presets": {"close-eyes": 0.7, "lower-brows": 3},
        "region": "face",
        "engine": "default",
        "options": {"max_steps": 12},
    }
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    output = tmp_path / "edited.png"
    words = ["edit", str(portrait), "--spec", str(file), "--quality", "fast", "--device", "cpu"]
    words += ["--generator", str(tiny_file), "--finder", "builtin", "-o", str(output)]
    assert main(words) == 0
    (edit,) = unpack(talk, spec)
    assert "hidden" not in edit
    assert edit["draft"]["presets"] == {"open-eyes": -0.7, "raise-brows": -1.2}
    assert [point["lock"] for point in edit["draft"]["points"]] == [False, True]
    set_up(talk, edit)
    assert talk.work("run")["end"] == "done"
    assert exported(talk, what="photo") == output.read_bytes()


def test_a_chain_is_taken_apart(talk: Talk) -> None:
    ask_for(talk, points=corners(talk))
    talk.work("run")
    ask_for(talk, presets={"raise-brows": 1.0})
    talk.work("run")
    first, second = unpack(talk, recipe_of(talk))
    assert (first["label"], first["follows"]) == ("2 points", False)
    assert (second["label"], second["follows"]) == ("raise-brows 1", True)
    assert second["draft"] == {**EMPTY, "presets": {"raise-brows": 1.0}}


def test_a_square_and_an_expression_come_back(talk: Talk, portrait: Path, tmp_path: Path) -> None:
    point = {"handles": [[250, 270]], "targets": [[262, 262]]}
    (edit,) = unpack(talk, {"crop": [90, 110, 320], "request": point})
    assert edit["face"] == "90,110,320"
    twin = tmp_path / "twin.png"
    with Image.open(portrait) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(twin)
    found = talk.upload(face_path(talk) + "/expressions", twin.read_bytes(), "twin.png").json
    ask_for(talk, expression={"expression": found["expression"], "name": "twin.png"})
    assert talk.work("run")["end"] == "done"
    saved, recipe = exported(talk, what="photo"), recipe_of(talk)
    (edit,) = unpack(talk, recipe)
    set_up(talk, edit)
    talk.work("run")
    assert exported(talk, what="photo") == saved


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (b"{", "r.json is no readable JSON file"),
        (b"\xff\xfe\x00", "r.json is no readable JSON file"),
        (b"[" * 200_000, "r.json is no readable JSON file"),
        ([], "r.json must hold one JSON object, not list"),
        ({}, "nothing to edit"),
        ({"elbow": 1}, "r.json has an unknown key 'elbow': known are handles"),
        ({"request": {"elbow": 1}}, "unknown key 'elbow'"),
        ({"handles": [[1, 2]]}, "one target per handle"),
        ({"presets": {"elbow": 1}}, "unknown preset 'elbow'"),
        ({"presets": {"smile": "much"}}, "must be a number"),
        ({"presets": {"smile": 1}, "region": "elbow"}, "unknown region"),
        ({"presets": {"smile": 1}, "engine": "steam"}, "unknown engine 'steam'"),
        ({"presets": {"smile": 1}, "options": {"steam": 1}}, "unknown option 'steam'"),
        ({"presets": {"smile": 1}, "options": {"max_steps": 0}}, "max"),
        ({"handles": [[1, 2]], "targets": [[5, 2]]}, "lies outside the square of face 1"),
        ({"handles": [[1e999, 2]], "targets": [[5, 2]]}, "outside the square"),
        (b'{"handles": [[1%s, 2]], "targets": [[5, 2]]}' % (b"0" * 400), "outside the square"),
        ({"face": 7, "request": {"presets": {"smile": 1}}}, "there is no face 7"),
        (
            {"crop": [0, 0, 9000], "request": {"handles": [], "presets": {"smile": 1}}},
            "reaches out",
        ),
        ({"crop": "all", "request": {"presets": {"smile": 1}}}, "crop must be a list"),
        ({"quality": "superb", "request": {"presets": {"smile": 1}}}, "unknown quality"),
        ({"requests": 7}, "requests must be a list"),
        ({"faces": [7]}, "must be an object"),
        (
            {
                "photo": {"name": "b.jpg", "width": 7, "height": 9},
                "request": {"presets": {"nod": 1}},
            },
            "r.json belongs to another photo, b.jpg of 7 x 9 pixels: open that one first",
        ),
        ({"photo": {"sha256": "ab"}, "request": {"presets": {"nod": 1}}}, "another photo"),
    ],
)
def test_what_is_no_recipe_for_this_photo_is_refused(
    reading: Talk, recipe: Any, message: str
) -> None:
    assert message in refusal(reading, recipe)
    assert len(reading.state["photo"]["faces"]) == 1


def test_no_file_is_read_because_a_recipe_names_it(reading: Talk, portrait: Path) -> None:
    request = {"presets": {"smile": 1}, "mask": str(portrait)}
    recipe = {"request": request, "hidden": "/etc/passwd", "generator": {"sha256": "ab"}}
    (edit,) = unpack(reading, recipe)
    assert (edit["draft"]["mask"], edit["hidden"]) == (None, None)
    told = "; ".join(edit["notes"])
    assert f"its mask, {portrait.name}, is not kept here" in told
    assert "passwd" in told
    assert "another" not in told
    assert "expect differences" in told


def test_the_command_line_refuses_in_the_same_words(
    reading: Talk, portrait: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.json"
    file.write_text('{"elbow": 1}')
    words = f"edit {portrait} --spec {file} -o {tmp_path / 'x.png'}"
    assert main(shlex.split(words)) == 1
    said = capsys.readouterr().err.strip().removeprefix("photodrag: ").removeprefix("error: ")
    assert refusal(reading, {"elbow": 1}) in said.replace(str(file), "r.json")
