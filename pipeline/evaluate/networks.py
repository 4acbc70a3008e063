"""How records and pages name the networks that measured."""

from pipeline.evaluate.identity import IdentityNetwork
from pipeline.faces import uses_fan
from pipeline.fan import FAN_FILE, checkpoints
from pipeline.models import Models
from pipeline.session import Json
from weights.face_finder import BUILTIN_FACE_FINDER
from weights.fetch import hash_file


def finder_name(models: Models) -> str:
    """Which networks find the landmarks."""
    return "FAN" if uses_fan(models.finder) else "the built-in face finder"


def finder_sha256(models: Models) -> str:
    """Hash of the file of the network that places the landmarks."""
    fan = uses_fan(models.finder)
    return hash_file(checkpoints() / FAN_FILE if fan else BUILTIN_FACE_FINDER)


def identity_name(network: IdentityNetwork | None) -> str:
    """What pages call the network that tells persons apart."""
    return "no network (not measured)" if network is None else network.name


def generator_and_finder(models: Models) -> Json:
    """What every measurement of landmarks depends on."""
    return {"generator_sha256": models.sha256, "landmarks_by": finder_name(models)}


def words_of(models: Models) -> dict[str, str | int]:
    """What pages say of the generator and the finder: "generator", its "side", "finder"."""
    return {
        "generator": models.generator_name,
        "side": models.generator.config.resolution,
        "finder": finder_name(models),
    }
