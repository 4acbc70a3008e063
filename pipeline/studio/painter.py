"""The frames of a run, composed beside it while the worker drags on."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from editing.engine import EditStep
from editing.render import Renderer
from editing.spec import DragSpec
from inversion.types import Inversion
from pipeline.align import Alignment
from pipeline.composite import Composer
from pipeline.photo import Photo
from pipeline.preview import Preview, Previews, compose_preview
from pipeline.request import Mask
from pipeline.studio.draft import DraftPoint
from pipeline.studio.pages import Frame
from pipeline.studio.pictures import to_jpeg
from pipeline.subject import Selection

FRAME_QUALITY = 88


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """An inverted face, ready to be edited.

    Attributes:
        selection: The face and its square.
        inversion: Of it.
        composer: Composes edits into the photo.
        previews: Compose them into reduced copies, for frames.
        draw: Draws edits of it.
    """

    selection: Selection
    inversion: Inversion
    composer: Composer
    previews: Previews
    draw: Renderer

    @property
    def photo(self) -> Photo:
        """The untouched photo."""
        return self.composer.photo


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scene:
    """What stays the same during a run; `targets` [N, 2] in photo pixels, `whole` in the crop's."""

    subject: Subject
    preview: Preview
    whole: DragSpec
    ids: tuple[str | None, ...]
    targets: list[list[float]]


class Painter:
    """Composes the newest step whenever a page can take a frame, and never two at a time.

    Args:
        points: The draft's, to tell the page which handle is whose.
        wanted: Whether a page can take a frame.
        show: Gets each frame, on the painter's thread.
    """

    def __init__(
        self,
        points: Sequence[DraftPoint],
        wanted: Callable[[], bool],
        show: Callable[[Frame], None],
    ) -> None:
        self._points, self._wanted, self._show = points, wanted, show
        self._thread = ThreadPoolExecutor(
            max_workers=1,
            thread_name_prefix="photodrag-painter",
            initializer=torch.set_num_threads,
            initargs=(1,),
        )
        self._busy: Future[None] | None = None
        self._scene: _Scene | None = None
        self._latest: EditStep | None = None

    def begin(self, subject: Subject, spec: DragSpec, whole: DragSpec, mask: Mask | None) -> None:
        """A run begins.

        Args:
            subject: Whose.
            spec: What is dragged, crop pixels.
            whole: The same with all edits before it, on the untouched picture.
            mask: Painted mask, as large as the photo.
        """
        alignment = subject.selection.alignment
        owners = match_points(self._points, spec, alignment)
        ids = {k: point.id for point, k in zip(self._points, owners, strict=True) if k is not None}
        self._scene = _Scene(
            subject=subject,
            preview=subject.previews.of(whole).with_painted(mask),
            whole=whole,
            ids=tuple(ids.get(k) for k in range(len(spec.handles))),
            targets=np.round(alignment.to_photo(spec.targets.numpy()), 2).tolist(),
        )

    def offer(self, step: EditStep) -> None:
        """Take note of a step; it is painted unless a newer one comes before its turn."""
        if step.index == 0 or self._scene is None:
            return
        self._latest = step
        if self._busy is not None and self._busy.done():
            self._busy.result()
            self._busy = None
        if self._busy is None:
            self._busy = self._thread.submit(self._paint_latest, self._scene)

    def close(self) -> None:
        """The run has ended."""
        self._latest = None
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _paint_latest(self, scene: _Scene) -> None:
        while self._wanted():
            step, self._latest = self._latest, None
            if step is None:
                return
            self._paint(scene, step)

    def _paint(self, scene: _Scene, step: EditStep) -> None:
        subject, alignment = scene.subject, scene.subject.selection.alignment
        edited = subject.draw(step.latents, step.movable)
        found = compose_preview(scene.preview, edited, scene.whole, step.points)
        if found is None:
            return
        window, rgb = found
        header = {
            "step": step.index,
            "rect": scene.preview.to_photo(window),
            "type": "image/jpeg",
            "points": np.round(alignment.to_photo(step.points.cpu().numpy()), 2).tolist(),
            "ids": scene.ids,
            "targets": scene.targets,
            "distance": step.mean_distance * alignment.scale,
        }
        picture = to_jpeg(rgb, subject.photo, quality=FRAME_QUALITY)
        self._show(Frame(header=header, picture=picture))


def match_points(
    points: Sequence[DraftPoint], spec: DragSpec, alignment: Alignment
) -> list[int | None]:
    """For each of the draft's points its handle in the specification."""
    if not points or not len(spec.handles):
        return [None] * len(points)
    places = torch.from_numpy(alignment.to_crop([point.at for point in points])).float()
    apart = torch.cdist(places, spec.handles.float())
    return [
        int(row.argmin()) if float(row.min()) < 0.05 else None  # rounding of the way and back
        for row in apart
    ]
