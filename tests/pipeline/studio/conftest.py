"""A real studio on a real port, with real but tiny networks."""

import asyncio
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pipeline.models import Models, load_models
from pipeline.studio.serve import prepare
from tests.pipeline.studio.talking import Talk

Serving = Callable[..., AbstractContextManager[Talk]]


@pytest.fixture(scope="session")
def tiny_models(tiny_file: Path) -> Models:
    return load_models(str(tiny_file), device="cpu", finder="builtin")


@pytest.fixture(scope="session")
def serving(tiny_models: Models) -> Serving:
    """Serve a folder on a free port for as long as the context lasts."""

    @contextmanager
    def serve(folder: Path, models: Models = tiny_models) -> Generator[Talk]:
        listening = threading.Event()
        served = prepare(models, folder, port=0, ready=lambda _: listening.set())
        thread = threading.Thread(target=lambda: asyncio.run(served.run()))
        thread.start()
        talk = Talk(served.address)
        try:
            assert listening.wait(60)
            yield talk
        finally:
            talk.close()
            served.server.should_exit = True
            thread.join()

    return serve


@pytest.fixture(scope="session")
def prepared(serving: Serving, portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the portrait, its face and a fast inversion; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("studio") / "prepared"
    with serving(folder) as talk:
        talk.open()
        talk.finish(talk.upload("photos", portrait.read_bytes(), portrait.name).json["job"])
        talk.work("invert")
        assert talk.state["inversion"]
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder."""
    return Path(shutil.copytree(prepared, tmp_path / "studio"))


@pytest.fixture
def talk(serving: Serving, folder: Path) -> Iterator[Talk]:
    """A page of a studio in which the portrait is open and inverted."""
    with serving(folder) as talk:
        yield talk.open()
