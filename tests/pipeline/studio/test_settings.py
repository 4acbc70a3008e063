"""Options of engines: forms made of their fields, and values read back."""

from typing import Any

import pytest

from editing.engine import ENGINES
from editing.presets import PRESETS
from pipeline.engines import OPTIONS, choose_engine
from pipeline.errors import RequestError
from pipeline.studio.errors import MessageError
from pipeline.studio.settings import StudioSettings, describe_engines, read_settings
from pipeline.studio.sliders import describe_sliders


@pytest.mark.parametrize("engine", ENGINES)
def test_a_form_sends_its_own_defaults_back(engine: str) -> None:
    (form,) = [each for each in describe_engines() if each["name"] == engine]
    described: Any = form["fields"]
    assert [each["name"] for each in described] == [option.name for option in OPTIONS]
    options = {each["name"]: each["default"] for each in described}
    read = read_settings({"engine": {"name": engine, "options": options}}, StudioSettings())
    assert read.options == {}
    assert choose_engine(read.engine, read.options) == ENGINES[engine]
    assert read_settings(read.to_json(), StudioSettings()) == read


def test_options_reach_the_engine() -> None:
    options = {"max_steps": 7, "space": "w", "blocks": [32, 64], "radius": None, "mask_weight": 3}
    engine = {"name": "default", "options": options}
    read = read_settings({"engine": engine, "seed": 3}, StudioSettings())
    built = choose_engine(read.engine, read.options)
    assert (built.max_steps, built.space, built.blocks) == (7, "w", (32, 64))
    assert built.mask_weight == 3.0


@pytest.mark.parametrize(
    "options",
    [{"max_steps": 1.5}, {"max_steps": "x"}, {"space": "z"}, {"blocks": "all"}, {"warp": 1}],
)
def test_options_of_another_kind_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        read_settings({"engine": {"name": "default", "options": options}}, StudioSettings())


@pytest.mark.parametrize(
    "settings", [{"quality": "superb"}, {"seed": -1}, {"engine": {"name": "x"}}]
)
def test_settings_that_are_none_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        read_settings(settings, StudioSettings())


def test_what_is_left_out_stays() -> None:
    before = StudioSettings(quality="best", seed=4, options={"max_steps": 7})
    assert read_settings({"quality": "fast"}, before) == StudioSettings(
        quality="fast", seed=4, options={"max_steps": 7}
    )


def test_every_preset_is_on_a_slider() -> None:
    sliders = {each["name"]: each for each in describe_sliders()}
    for name, preset in PRESETS.items():
        title = name.replace("-", " ").capitalize()
        assert name in sliders or title in {each["opposite"] for each in sliders.values()}
        assert (name in sliders) == (preset.sign > 0)
    assert sliders["open-eyes"]["opposite"] == "Close eyes"
    assert sliders["open-eyes"]["group"] is None
