"""NVIDIA's network pickles (stylegan2-ada-pytorch, stylegan3) and what PTI makes of them.

A snapshot is a dictionary whose `G_ema` is the generator; PTI saves the tuned generator alone. Both
are `nn.Module` objects of pickled state: `_parameters`, `_buffers`, `_modules`, the attributes that
their constructors set, and the constructors' arguments in `_init_kwargs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from weights.errors import BrokenWeightsError, UnsupportedWeightsError
from weights.readers.assemble import MAX_RESOLUTION, MAX_WIDTH, Found, height_to_width
from weights.readers.records import PersistentObject, StoredTensor, expect, text_keys
from weights.stylegan2 import MAPPING_LR_MULTIPLIER, GeneratorConfig

ATTRIBUTES = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
MAX_DEPTH = 4
MAX_MODULES = 1000


def is_nvidia(root: object) -> bool:
    """Whether this is a snapshot of networks, or one network, of NVIDIA's code."""
    return isinstance(root, PersistentObject) or (isinstance(root, dict) and "G_ema" in root)


def find_nvidia(root: object) -> Found:
    """The generator of a snapshot, or the generator itself.

    Raises:
        BrokenWeightsError: it contradicts itself.
        UnsupportedWeightsError: it is no StyleGAN2, or a variant that is not read.
    """
    alone = isinstance(root, PersistentObject)
    generator = root if alone else text_keys(root)["G_ema"]
    if not isinstance(generator, PersistentObject) or generator.class_name != "Generator":
        name = getattr(generator, "class_name", type(generator).__name__)
        raise UnsupportedWeightsError(f"its generator is of class {name[:80]!r}, not StyleGAN2")
    parts = _submodules(generator)
    if "input" in _submodules(parts["synthesis"]):
        raise UnsupportedWeightsError(
            "it is a StyleGAN3 generator, and only StyleGAN2 is read: take a StyleGAN2 network"
        )
    tensors: dict[str, StoredTensor] = {}
    for count, (name, module) in enumerate(_walk(generator)):
        if count == MAX_MODULES:
            raise BrokenWeightsError("its generator has too many parts: get the file anew")
        _check_layer(name, module)
        for group in ("_parameters", "_buffers"):
            for key, value in text_keys(module.state[group]).items():
                if value is not None:
                    tensors[f"{name}{key}"] = expect(value, StoredTensor)
    layer = _submodules(_submodules(parts["synthesis"])["b4"])["conv1"]
    ratio = height_to_width(tensors)
    config = read_config(_arguments(generator), layer.state.get("conv_clamp"), ratio)
    kind = "pti-module" if alone else "nvidia-pickle"
    return Found(kind=kind, config=config, tensors=tensors)


def _submodules(module: object) -> Mapping[str, PersistentObject]:
    modules = text_keys(expect(module, PersistentObject).state["_modules"])
    return {name: expect(value, PersistentObject) for name, value in modules.items()}


def _walk(
    module: PersistentObject, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, PersistentObject]]:
    """A module and all below it, with the prefix of their parameters' names."""
    if depth > MAX_DEPTH:
        raise BrokenWeightsError("its generator is nested too deeply: get the file anew")
    yield prefix, module
    for name, child in _submodules(module).items():
        yield from _walk(child, f"{prefix}{name}.", depth + 1)


def _check_layer(name: str, module: PersistentObject) -> None:
    """Refuse what our layers do not compute; the attributes are those of NVIDIA's classes."""
    state = module.state
    architecture, activation = state.get("architecture", "skip"), state.get("activation", "lrelu")
    if architecture != "skip":
        raise UnsupportedWeightsError(
            f"its generator has architecture {_shown(architecture)}: only 'skip' is read"
        )
    linear = name.endswith("affine.")
    if activation != ("linear" if linear else "lrelu"):
        raise UnsupportedWeightsError(
            f"its {name}activation is {_shown(activation)}: only 'lrelu' is read"
        )
    multiplier = MAPPING_LR_MULTIPLIER if name.startswith("mapping.fc") else 1
    if state.get("bias_gain", multiplier) != multiplier:
        raise UnsupportedWeightsError(
            f"its {name}lr_multiplier is not {multiplier}: it was trained with other settings"
        )


def _shown(value: object) -> str:
    # Writing out a crafted list could take all memory.
    return repr(value[:80]) if isinstance(value, str) else f"a {type(value).__name__}"


def _arguments(generator: PersistentObject) -> dict[str, object]:
    """The constructors' arguments, of the generator and of its two parts."""
    # Arguments that were given without their names are attributes of the same names.
    state = {name: generator.state[name] for name in ATTRIBUTES if name in generator.state}
    own = text_keys(generator.state["_init_kwargs"])
    # stylegan2-ada nests the synthesis network's arguments, stylegan3 does not.
    mapping = text_keys(own.get("mapping_kwargs", {}))
    return {**state, **own, **mapping, **text_keys(own.get("synthesis_kwargs", {}))}


def read_config(
    arguments: Mapping[str, object], clamp: object, height_to_width: int = 1
) -> GeneratorConfig:
    """The shape that NVIDIA's arguments give, where one is absent with NVIDIA's default.

    Raises:
        BrokenWeightsError: an argument is no sensible number.
        UnsupportedWeightsError: they ask for a variant that is not read.
    """
    if arguments.get("c_dim", 0) != 0:
        raise UnsupportedWeightsError("its generator is class-conditional, which is not read")
    if arguments.get("img_channels", 3) != 3:
        raise UnsupportedWeightsError("its generator does not make images of three channels")
    return GeneratorConfig(
        resolution=_number(arguments, "img_resolution", None, MAX_RESOLUTION),
        channel_base=_number(arguments, "channel_base", 32768, MAX_WIDTH * MAX_RESOLUTION),
        channel_max=_number(arguments, "channel_max", 512, MAX_WIDTH),
        w_dim=_number(arguments, "w_dim", None, MAX_WIDTH),
        z_dim=_number(arguments, "z_dim", None, MAX_WIDTH),
        mapping_layers=_number(arguments, "num_layers", 8, 64),
        conv_clamp=None if clamp is None else _limit(clamp),
        height_to_width=height_to_width,
    )


def _number(values: Mapping[str, object], name: str, default: int | None, most: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BrokenWeightsError(f"its configuration has no usable {name}: get the file anew")
    return value


def _limit(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise BrokenWeightsError("its configuration has no usable conv_clamp: get the file anew")
    return float(value)
