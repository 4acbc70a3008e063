"""Sessions on disk: what is whole is used again, what is not is done again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import SessionError
from pipeline.session import Session, Settings, begin_session, edit_files, open_session, write_json

SETTINGS = Settings(generator="tiny", generator_sha256="ab", quality="fast", seed=0)


def begin(
    folder: Path, *, sha256: str = "aa", selected: str = "face 1", settings: Settings = SETTINGS
) -> Session:
    return begin_session(
        folder, photo=Path("p.png"), photo_sha256=sha256, selected=selected, settings=settings
    )


def keep_text(session: Session, name: str, text: str) -> Session:
    def write(path: Path) -> None:
        path.write_text(text, "utf-8")

    return session.keep({name: write}, "note", {"length": len(text)})


def test_a_kept_file_is_there_after_opening_again(tmp_path: Path) -> None:
    keep_text(begin(tmp_path), "alignment.json", "{}")
    found = open_session(tmp_path)
    assert found.has("alignment.json")
    assert found.read_json("alignment.json") == {}
    assert found.reports["note"] == {"length": 2}
    assert found == begin(tmp_path)


def test_a_file_cut_short_counts_as_not_there(tmp_path: Path) -> None:
    session = keep_text(begin(tmp_path), "alignment.json", '{"centre": 1}')
    (tmp_path / "alignment.json").write_text('{"cen', "utf-8")
    assert not session.has("alignment.json")
    with pytest.raises(SessionError, match=r"alignment.json is missing or incomplete"):
        session.read_json("alignment.json")


def test_a_file_that_was_never_listed_counts_as_not_there(tmp_path: Path) -> None:
    session = begin(tmp_path)
    (tmp_path / "inversion.safetensors").write_bytes(b"half")
    assert not session.has("inversion.safetensors")


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    session = keep_text(begin(tmp_path), "alignment.json", "{}")

    def fail(path: Path) -> None:
        path.write_text("half", "utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.keep({"alignment.json": fail}, "align", {})
    assert open_session(tmp_path).read_json("alignment.json") == {}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alignment.json", "session.json"]


def test_only_complete_edits_are_listed(tmp_path: Path) -> None:
    session = begin(tmp_path)
    for name in (*edit_files(1), *edit_files(2)):
        session = keep_text(session, name, name)
    (tmp_path / edit_files(2)[2]).unlink()
    assert session.edits == [1]


def test_another_photo_is_an_error(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(SessionError, match="session of another photo"):
        begin(tmp_path, sha256="bb")


def test_another_face_is_an_error(tmp_path: Path) -> None:
    begin(tmp_path)
    with pytest.raises(SessionError, match="session of face 1, not of face 2"):
        begin(tmp_path, selected="face 2")


def test_other_settings_drop_the_inversion_and_keep_the_alignment(tmp_path: Path) -> None:
    session = keep_text(begin(tmp_path), "alignment.json", "{}")
    keep_text(session, "inversion.safetensors", "tuned")
    found = begin(tmp_path, settings=replace(SETTINGS, quality="best"))
    assert found.has("alignment.json")
    assert not found.has("inversion.safetensors")
    assert open_session(tmp_path).settings.quality == "best"


def test_another_generator_drops_the_alignment_too(tmp_path: Path) -> None:
    keep_text(begin(tmp_path), "alignment.json", "{}")
    found = begin(tmp_path, settings=replace(SETTINGS, generator_sha256="cd"))
    assert not found.has("alignment.json")


def test_an_unknown_schema_names_both_versions(tmp_path: Path) -> None:
    begin(tmp_path)
    record = json.loads((tmp_path / "session.json").read_text("utf-8"))
    write_json(tmp_path / "session.json", {**record, "schema": 99, "photodrag": "7.1"})
    with pytest.raises(SessionError, match=r"schema 99 \(written by photodrag 7.1\).*schema 2"):
        open_session(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 2}', "null", "3"])
def test_a_damaged_record_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "session.json").write_text(text, "utf-8")
    with pytest.raises(SessionError, match="is damaged"):
        open_session(tmp_path)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine", "utf-8")
    with pytest.raises(SessionError, match=r"not empty \(holiday.txt\)"):
        begin(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.txt"]


def test_no_session(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="holds no session: start one with photodrag align"):
        open_session(tmp_path)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    quality=st.text(max_size=8),
    seed=st.integers(),
    selected=st.text(max_size=8),
    report=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False)),
)
def test_the_record_survives_json(
    tmp_path_factory: pytest.TempPathFactory,
    quality: str,
    seed: int,
    selected: str,
    report: dict[str, object],
) -> None:
    folder = tmp_path_factory.mktemp("session")
    chosen = Settings(generator="g", generator_sha256="h", quality=quality, seed=seed)
    written = begin(folder, selected=selected, settings=chosen).keep({}, "invert", report)
    assert open_session(folder) == written
