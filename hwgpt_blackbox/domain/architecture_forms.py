"""The forms in which an architecture is written, read as one.

- a configuration of the blackboxes: ``num_layers``, ``embed_dim``, ``bias``, ``mlp_ratio_0`` …
- with lists: ``mlp_ratios`` and ``num_heads`` (``architecture_of``, ``ModelConfig.as_dict``)
- as the published package has it: ``sample_n_layer``, ``sample_mlp_ratio`` … (``HWGPT``)
- a document of ``hwgpt-blackbox query --json``, which holds one of the others
- a string ``gpt-s-12-768-…``, as the measurements are named
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.domain.encoding import Configuration
from hwgpt_blackbox.domain.spaces import NORM_EPSILON, ROTARY_SHARE, SPACES, Space
from hwgpt_blackbox.errors import DataError, InputError, unknown


class _Keys(NamedTuple):
    """What a form with lists calls the choices of an architecture."""

    embed_dim: str
    num_layers: str
    bias: str
    mlp_ratios: str
    num_heads: str


_LISTS = _Keys("embed_dim", "num_layers", "bias", "mlp_ratios", "num_heads")
_SAMPLE = _Keys(
    "sample_embed_dim", "sample_n_layer", "sample_bias", "sample_mlp_ratio", "sample_n_head"
)
_INDICES = "sample_layer_indices"

_OF_SPACE = ("head_size", "vocabulary", "sequence_length", "network")
_OF_ALL = {"rotary_share": ROTARY_SHARE, "norm_epsilon": NORM_EPSILON}

_TEXTS = {"true": True, "false": False}


def shared_by(space: Space) -> dict[str, Any]:
    """What a model configuration holds too, and all architectures of a space share."""
    return {key: getattr(space, key) for key in _OF_SPACE} | _OF_ALL


def as_configuration(space: Space, given: Any) -> Configuration:
    """An architecture in any form as a configuration of the blackboxes.

    :param space: of which the architecture is
    :param given: in one of the forms, or a ``ModelConfig``
    :return: a configuration as it was given, not checked; of any other form one with every
        hyperparameter of the space, checked, layers that do not exist at their smallest choice
    :raises InputError: no architecture, or not of the space; names key, value and choices
    """
    if isinstance(given, str):
        return _named(space, given)
    architecture, keys = _recognised(given)
    if keys is None:
        return architecture
    if keys is _LISTS:
        _check_others(space, architecture)
    read = _read(architecture, keys, space.max_layers)
    written = {
        "num_layers": (keys.num_layers, read["num_layers"]),
        "embed_dim": (keys.embed_dim, read["embed_dim"]),
    }
    for i in range(read["num_layers"]):
        written[f"mlp_ratio_{i}"] = (f"{keys.mlp_ratios}[{i}]", read["mlp_ratios"][i])
        written[f"num_heads_{i}"] = (f"{keys.num_heads}[{i}]", read["num_heads"][i])
    found = {name: choices[0] for name, choices in space.choices.items()} | {"bias": read["bias"]}
    for name, (key, value) in written.items():
        choices = space.choices.get(name, ())
        if type(value) is not int or value not in choices:
            known = ", ".join(map(str, choices))
            raise InputError(f"{key} is {value!r}; choose one of {known} (space {space.name})")
        found[name] = value
    return found


def as_lists(given: Any) -> dict[str, Any]:
    """An architecture in any form, of any space or none, as arguments of ``ModelConfig``.

    :param given: in one of the forms
    :return: ``embed_dim``, ``bias``, ``mlp_ratios`` and ``num_heads``, and what else of a model
        configuration the form holds
    :raises InputError: no architecture
    """
    if isinstance(given, str):
        named = [row for row in SPACES.values() if given.startswith(f"gpt-{row.name}-")]
        if not named:
            raise InputError(f"{given!r:.200} is no architecture; expected gpt-<space>-<layers>-…")
        given = _named(named[-1], given)  # gpt-s-wide-… begins as gpt-s-… too
    architecture, keys = _recognised(given)
    if keys is None:
        architecture, keys = _layers_listed(architecture), _LISTS
    found = _read(architecture, keys, None)
    del found["num_layers"]
    return found | {key: architecture[key] for key in (*_OF_SPACE, *_OF_ALL) if key in architecture}


def _named(space: Space, text: str) -> Configuration:
    """The configuration of an architecture string."""
    try:
        row = Architectures(space).from_string(text, "architecture")
    except DataError as error:
        raise InputError(str(error)) from None
    return {name: choices[i] for (name, choices), i in zip(space.choices.items(), row, strict=True)}


def _recognised(given: Any) -> tuple[Configuration, _Keys | None]:
    """The architecture, out of a document, and its keys; None: those of a configuration."""
    if hasattr(given, "as_dict"):  # a ModelConfig
        given = given.as_dict()
    if not isinstance(given, Mapping):
        raise InputError(
            f"an architecture is a {type(given).__name__}; expected a dict: a configuration, or "
            "what sample_arch(), architecture_of() or model_config() returns"
        )
    for key in ("architecture", "configuration"):
        if isinstance(given.get(key), Mapping):
            given = given[key]
    if any(str(key).startswith("sample_") for key in given):
        return given, _SAMPLE
    return given, _LISTS if "mlp_ratios" in given or "num_heads" in given else None


def _layers_listed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the form with lists; entries of layers that exist only."""
    layers = _whole(configuration.get("num_layers"))
    if type(layers) is not int:
        raise InputError(
            f"num_layers is {layers!r}; expected the number of layers, and the other "
            "hyperparameters of a configuration"
        )
    found: dict[str, Any] = {"num_layers": layers, "mlp_ratios": [], "num_heads": []}
    try:
        found |= {name: configuration[name] for name in ("embed_dim", "bias")}
        for i in range(layers):
            found["mlp_ratios"].append(configuration[f"mlp_ratio_{i}"])
            found["num_heads"].append(configuration[f"num_heads_{i}"])
    except KeyError as error:
        raise InputError(f"the configuration lacks {error}") from None
    return found


def _read(given: Mapping[str, Any], keys: _Keys, longest: int | None) -> dict[str, Any]:
    """The choices under the names of ``_LISTS``; entries of layers that exist only.

    :param longest: list that is admitted; None: any
    :raises InputError: a key is missing, or a value is of another kind
    """
    if keys is _LISTS and keys.num_layers not in given and _is_list(given.get(keys.mlp_ratios)):
        given = {**given, keys.num_layers: len(given[keys.mlp_ratios])}
    missing = [key for key in keys if key not in given]
    if missing:
        raise InputError(
            f"the architecture lacks {', '.join(missing)}; expected the keys {', '.join(keys)}"
        )
    layers = _whole(given[keys.num_layers])
    if type(layers) is not int or layers < 1:
        raise InputError(f"{keys.num_layers} is {layers!r}; expected the number of layers")
    if keys is _LISTS:
        longest = layers
    elif _INDICES in given:
        _check_indices(given[_INDICES], layers)
    return {
        "num_layers": layers,
        "embed_dim": _whole(given[keys.embed_dim]),
        "bias": _boolean(keys.bias, given[keys.bias]),
        "mlp_ratios": _list(given, keys, keys.mlp_ratios, layers, longest),
        "num_heads": _list(given, keys, keys.num_heads, layers, longest),
    }


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)


def _list(
    given: Mapping[str, Any], keys: _Keys, key: str, layers: int, longest: int | None
) -> list[Any]:
    """The entries of the layers that exist; those beyond are not looked at."""
    values = given[key]
    plain = _is_list(values)
    if not plain or not layers <= len(values) <= (longest or len(values)):
        found = f"{len(values)} entries" if plain else repr(values)
        more = "" if longest == layers else f", or of up to {longest or 'any number'}"
        raise InputError(
            f"{key} is or has {found}; expected a list of {layers} entries "
            f"({keys.num_layers}){more}"
        )
    return [_whole(value) for value in values[:layers]]


def _whole(value: Any) -> Any:
    """A whole number as an int, so 192.0 as 192; anything else as it is."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    whole = isinstance(value, float | np.floating) and value.is_integer()
    return int(value) if whole else value


def _boolean(key: str, value: Any) -> bool:
    found = _TEXTS.get(value.lower(), value) if isinstance(value, str) else value
    if not isinstance(found, bool | np.bool_):
        raise InputError(f"{key} is {value!r}; choose True or False, or one of them as text")
    return bool(found)


def _check_indices(indices: Any, layers: int) -> None:
    """Only networks of the first layers were measured; raise on a choice of other layers."""
    if not _is_list(indices) or list(indices) != list(range(layers)):
        raise InputError(
            f"{_INDICES} is {indices!r}; expected 0 to {layers - 1} ({_SAMPLE.num_layers}), which "
            "is what was measured, or leave the key out"
        )


def _check_others(space: Space, given: Mapping[str, Any]) -> None:
    """Check the keys that are no choices: they must agree with the space.

    :raises InputError: one is unknown, or says otherwise
    """
    others = shared_by(space) | {"space": space.name}
    known = [*_LISTS, *others]
    for key, value in given.items():
        if key not in known:
            raise unknown("key of an architecture", key, known)
        if key in others and value != others[key]:
            raise InputError(f"{key} is {value!r}; in space {space.name} it is {others[key]!r}")
