"""What every evaluation is told: networks, device, seed, processes, and where results go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.edit import Watch, unwatched
from pipeline.evaluate.records import Records
from pipeline.evaluate.report import Evaluation, write_evaluation
from pipeline.evaluate.tasks import Measure, measure_missing, missing
from pipeline.models import Models, choose_device, load_models
from pipeline.session import Json
from weights.store import DEFAULT_GENERATOR

Task = TypeVar("Task")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The same for every evaluation; it pickles, so other processes can be told.

    Attributes:
        folder: where records and results go.
        command: the command line that repeats the evaluation, for its page.
        generator: name in the catalogue, or path.
        device: one of `pipeline.models.DEVICES`.
        finder: one of `pipeline.faces.FINDERS`.
        seed: of all randomness.
        jobs: number of processes.
        identity: file of the network that tells persons apart; None takes the one that the
            environment names, if any.
    """

    folder: Path
    command: str
    generator: str = DEFAULT_GENERATOR
    device: str = "auto"
    finder: str = "auto"
    seed: int = 0
    jobs: int = 1
    identity: Path | None = None

    def load(self) -> Models:
        """Load the networks."""
        return load_models(self.generator, device=self.device, finder=self.finder)


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """Tasks of one evaluation, their records, and how to see them go by.

    Attributes:
        name: of the evaluation; its records are `NAME.jsonl`.
        setting: of the evaluation.
        depends_on: JSON values that every measurement depends on, beside the setting's.
        watch: sees the measurements go by.
    """

    name: str
    setting: Setting
    depends_on: Json = field(default_factory=dict[str, object])
    watch: Watch = unwatched

    def measure(self, tasks: Mapping[str, Task], begin: Callable[[], Measure[Task]]) -> Records:
        """Measure what is missing, see `measure_missing`, and give all records."""
        depends_on = {"seed": self.setting.seed, "finder": self.setting.finder, **self.depends_on}
        records = Records(self.setting.folder / f"{self.name}.jsonl", depends_on)
        left = missing(tasks, records)
        steps = measure_missing(left, begin, records, jobs=self.setting.jobs)
        for _ in self.watch(steps, stage=self.name, total=len(left)):
            pass
        return records


def finish(setting: Setting, evaluation: Evaluation) -> Json:
    """Write an evaluation's files; see `write_evaluation`."""
    return write_evaluation(setting.folder, evaluation, choose_device(setting.device))
