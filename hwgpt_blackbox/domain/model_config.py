"""From a configuration to the network that it describes: a plain dict, and what builds a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwgpt_blackbox.domain.architecture_forms import as_configuration, as_lists, shared_by
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.parameter_counts import base_terms, layer_terms
from hwgpt_blackbox.domain.spaces import (
    HEAD_SIZE,
    NETWORKS,
    NORM_EPSILON,
    ROTARY_SHARE,
    SEQUENCE_LENGTH,
    SPACES,
    VOCABULARY,
    Space,
    get_space,
)
from hwgpt_blackbox.errors import InputError, unknown

_SIZES = ("embed_dim", "head_size", "vocabulary", "sequence_length")


@dataclass(frozen=True)
class ModelConfig:
    """Everything that determines the network of an architecture but its weights.

    A decoder: token embedding, layers in which attention and an MLP read the same input and add to
    it side by side, a last layer normalisation, and an output layer. Positions are rotary. Layer
    normalisations have weight and bias always; ``bias`` is that of the linear layers but the
    output, which has none. (HW-GPT-Bench, arXiv 2405.10299, profiled ``gated`` networks and trained
    ``gelu-tied`` ones.)

    :param embed_dim: width
    :param bias: whether the linear layers of attention and MLP have a bias
    :param mlp_ratios: hidden width of each layer's MLP, in multiples of ``embed_dim``
    :param num_heads: heads of each layer's attention
    :param head_size: width of a head, whatever ``embed_dim``
    :param vocabulary: tokens
    :param sequence_length: longest input
    :param rotary_share: share of a head's width that is turned by position
    :param norm_epsilon: of layer normalisation
    :param network: ``gated`` or ``gelu-tied``, see :class:`Space`
    :raises InputError: sizes that are not positive integers, or not as many ratios as heads
    """

    embed_dim: int
    bias: bool
    mlp_ratios: tuple[int, ...]
    num_heads: tuple[int, ...]
    head_size: int = HEAD_SIZE
    vocabulary: int = VOCABULARY
    sequence_length: int = SEQUENCE_LENGTH
    rotary_share: float = ROTARY_SHARE
    norm_epsilon: float = NORM_EPSILON
    network: str = "gated"

    def __post_init__(self) -> None:
        for name in ("mlp_ratios", "num_heads"):  # lists where it was read from JSON
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.mlp_ratios) != len(self.num_heads):
            raise InputError(
                f"mlp_ratios has {len(self.mlp_ratios)} entries and num_heads "
                f"{len(self.num_heads)}; expected one each per layer"
            )
        sizes = {name: [getattr(self, name)] for name in _SIZES}
        sizes |= {"mlp_ratios": list(self.mlp_ratios), "num_heads": list(self.num_heads)}
        for name, values in sizes.items():
            for value in values:
                if type(value) is not int or value < 1:
                    raise InputError(f"{name} has {value!r}; expected integers, 1 or more")
        if not isinstance(self.bias, bool):
            raise InputError(f"bias is {self.bias!r}; expected True or False")
        if self.network not in NETWORKS:
            raise unknown("network", self.network, NETWORKS)
        for name in ("rotary_share", "norm_epsilon"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InputError(f"{name} is {value!r}; expected a number from 0 to 1")

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.mlp_ratios)

    @property
    def num_parameters(self) -> int:
        """Number of parameters by formula: ``metric_params``, and what the built model counts."""
        layers = zip(self.mlp_ratios, self.num_heads, strict=True)
        return base_terms(self, self.embed_dim)["params"] + sum(
            layer_terms(self, self.embed_dim, int(self.bias), ratio, heads)["params"]
            for ratio, heads in layers
        )

    def as_dict(self) -> dict[str, Any]:
        """As a plain dict of numbers, booleans and lists, fit for JSON."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def architecture_of(
    space: str | Space, configuration: Mapping[str, Any] | ModelConfig | str
) -> dict[str, Any]:
    """The architecture of a configuration as a plain dict: of layers that exist only.

    >>> from hwgpt_blackbox import best
    >>> smallest = best("s", "params").configuration
    >>> architecture_of("s", smallest)["mlp_ratios"]
    [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]

    :param space: a published space's name, or a space
    :param configuration: every hyperparameter of the space; or the architecture in another form: as
        this function, :meth:`ModelConfig.as_dict`, ``HWGPT.sample_arch`` or
        ``hwgpt-blackbox query --json`` writes it, or a string ``gpt-s-12-768-…``
    :return: ``space``, ``num_layers``, ``embed_dim``, ``bias``, and ``mlp_ratios`` and
        ``num_heads``, lists with an entry per layer; of a space of one's own also the sizes that
        its architectures share
    :raises InputError: unknown space, or the configuration is not of it
    """
    row = get_space(space)
    encoding = Encoding(row)
    values = encoding.decode_one(encoding.encode_one(as_configuration(row, configuration)))
    layers = range(values["num_layers"])
    return {
        "space": row.name,
        "num_layers": values["num_layers"],
        "embed_dim": values["embed_dim"],
        "bias": values["bias"],
        "mlp_ratios": [values[f"mlp_ratio_{i}"] for i in layers],
        "num_heads": [values[f"num_heads_{i}"] for i in layers],
        **({} if row.name in SPACES else shared_by(row)),
    }


def model_config(
    space: str | Space, configuration: Mapping[str, Any] | ModelConfig | str
) -> ModelConfig:
    """The model configuration of an architecture.

    :param space: a published space's name, or a space
    :param configuration: every hyperparameter of the space; or the architecture in another form,
        as for :func:`architecture_of`
    :raises InputError: unknown space, or the configuration is not of it
    """
    row = get_space(space)
    return ModelConfig(**as_lists(architecture_of(row, configuration)) | shared_by(row))
