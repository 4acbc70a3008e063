"""The face finder FAN of the `face_alignment` library, where its files are on this machine."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from weights.errors import BrokenWeightsError, MissingWeightsError

Rgb = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

WORKING_SIDE: Final = 1280
"""Longer side of the reduced copy in which faces are looked for, px."""
FAN_SIDE: Final = 2560
"""Longer side of the copy in which FAN places landmarks, px."""
FAN_FILE: Final = "2DFAN4-11f355bf06.pth.tar"
FAN_DETECTORS: Final = {
    "sfd": ("s3fd-619a316812.pth",),
    "yunet": ("face_detection_yunet_2023mar.onnx",),
    "blazeface": ("blazeface.pth", "anchors.npy"),
}
"""Detectors that can go with FAN, best first, and their files."""


def checkpoints() -> Path:
    """Folder in which PyTorch keeps downloaded networks."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def missing_fan_files(folder: Path) -> list[str]:
    """Name what FAN lacks in a folder."""
    missing = [] if (folder / FAN_FILE).is_file() else [FAN_FILE]
    if _fan_detector(folder) is None:
        missing.append(" or ".join(" + ".join(files) for files in FAN_DETECTORS.values()))
    return missing


def _fan_detector(folder: Path) -> str | None:
    complete = (
        name
        for name, files in FAN_DETECTORS.items()
        if all((folder / file).is_file() for file in files)
    )
    return next(complete, None)


def find_with_fan(rgb: Rgb, device: torch.device) -> list[tuple[Points, float]]:
    """Find landmarks [68, 2] in px and a score for each face.

    Raises:
        MissingWeightsError: Its files are not here.
        BrokenWeightsError: One of them is damaged.
    """
    folder = checkpoints()
    missing = missing_fan_files(folder)
    detector = _fan_detector(folder)
    if missing or detector is None:
        raise MissingWeightsError(
            f"the FAN face finder lacks {' and '.join(missing)}: "
            "photodrag weights fetch fan, and s3fd, or use the built-in finder"
        )
    network = _load_fan(folder, detector, device)
    large = reduced(rgb, FAN_SIDE)
    small = reduced(rgb, WORKING_SIDE)
    shrink = large.shape[1] / small.shape[1]
    boxes = network.face_detector.detect_from_image(_bytes(small))
    if len(boxes) == 0:
        return []
    boxes = [[*(shrink * float(c) for c in box[:4]), float(box[-1])] for box in boxes]
    placed = network.get_landmarks_from_image(_bytes(large), detected_faces=boxes)
    scale = np.array([rgb.shape[1] / large.shape[1], rgb.shape[0] / large.shape[0]])
    return [
        (np.asarray(points, np.float64)[:, :2] * scale, min(1.0, box[-1]))
        for points, box in zip(placed, boxes, strict=True)
    ]


def _load_fan(folder: Path, detector: str, device: torch.device) -> Any:
    # Imported here: it takes two seconds, and the built-in finder can do without.
    import face_alignment

    paths = [str(folder / file) for file in FAN_DETECTORS[detector]]
    options = dict(zip(("path_to_detector", "path_to_anchor"), paths, strict=False))
    try:
        return face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D,
            device=str(device),
            compile=False,
            face_detector=detector,
            face_detector_kwargs=options,
        )
    except (UnpicklingError, RuntimeError, ValueError, KeyError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BrokenWeightsError(f"the FAN face finder's files in {folder}: {reason}") from error


def _bytes(rgb: Rgb) -> npt.NDArray[np.uint8]:
    return np.round(rgb.clip(0, 1) * 255).astype(np.uint8)


def reduced(rgb: Rgb, side: int) -> Rgb:
    """Shrink a picture until its longer side is at most `side`."""
    factor = side / max(rgb.shape[:2])
    return rgb if factor >= 1 else resized(rgb, factor)


def resized(picture: Rgb, factor: float) -> Rgb:
    """Shrink a picture by averaging."""
    size = [max(1, round(n * factor)) for n in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
