"""Search spaces: the seven published ones (arXiv 2405.10299, table 1), and users' own."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hwgpt_blackbox.errors import DataError, HWGPTError, InputError, printable, unknown

SEQUENCE_LENGTH = 1024
"""Tokens per sequence of a forward pass."""

VOCABULARY = 50254
"""Entries of the token embedding that the parameter formula counts."""

HEAD_SIZE = 64
"""Width of one attention head at every embedding width."""

ROTARY_SHARE = 0.5
"""Share of a head's width that rotary position embedding turns."""

NORM_EPSILON = 1e-5
"""Added to the variance in layer normalisation."""


NETWORKS = ("gated", "gelu-tied")
"""Kinds of network; see :class:`Space`."""

_CHOICES = {
    "embed_dims": "embed_dim",
    "num_layers": "num_layers",
    "mlp_ratios": "mlp_ratio",
    "num_heads": "num_heads",
}
_NUMBERS = {
    "batch_size": 1 << 20,
    "sequence_length": 1 << 20,
    "vocabulary": 1 << 24,
    "head_size": 1 << 16,
}
FILE_KEYS = ("name", *_CHOICES.values(), *_NUMBERS, "network")
"""Keys of a space file."""

MAX_CHOICES = 255
"""Most choices of one hyperparameter: the encoding keeps an index in a byte."""

MAX_FILE_BYTES = 1 << 20
"""A space file beyond this is refused unread."""

MAX_CELLS = 1 << 24
"""Most terms of a model: of every layer, in every group of (embed_dim, num_layers, bias)."""

MAX_COUNT = 1 << 53
"""Counts are below this, so that they are exact as floats."""

_LARGEST = {
    "embed_dim": 1 << 20,
    "num_layers": 1000,
    "mlp_ratio": 1000,
    "num_heads": 10_000,
} | _NUMBERS
"""Largest value of each key: beyond it, counts and memory are absurd."""

NAME = "[a-z][a-z0-9_-]{0,39}"
"""Names that a space may have, as a regular expression; see :func:`is_name`."""

_TAKEN = re.compile(r".*-device-|.*-(?:repeats|tabular|published|autogluon)\Z", re.DOTALL)
"""Parts that names of other artifacts of a space have."""


@dataclass(frozen=True)
class Space:
    """A search space: the choices of every hyperparameter and the batch of one forward pass.

    :param name: ``s``, ``m``, ``l``, or one of the wide spaces
    :param embed_dims: embedding widths, ascending
    :param num_layers: depths, ascending
    :param mlp_ratios: ratios of hidden to embedding width of an MLP, ascending
    :param num_heads: numbers of attention heads of a layer, ascending
    :param batch_size: sequences in one forward pass
    :param measured: whether measurements of it were published
    :param sequence_length: tokens of a sequence
    :param vocabulary: entries of the token embedding
    :param head_size: width of an attention head
    :param network: ``gated`` (gated MLP, output layer of its own, as profiled on the 13 devices) or
        ``gelu-tied`` (plain GELU MLP, output layer tied to the embedding, as the trained supernet)
    """

    name: str
    embed_dims: tuple[int, ...]
    num_layers: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    num_heads: tuple[int, ...]
    batch_size: int
    measured: bool = False
    sequence_length: int = SEQUENCE_LENGTH
    vocabulary: int = VOCABULARY
    head_size: int = HEAD_SIZE
    network: str = "gated"

    @classmethod
    def from_file(cls, path: str | Path) -> Space:
        """The space that a TOML file describes.

        :param path: a file with the keys ``name``, ``embed_dim``, ``num_layers``, ``mlp_ratio``,
            ``num_heads`` (two or more ascending integers each), ``batch_size``,
            ``sequence_length``, ``vocabulary``, ``head_size`` and ``network``
        :return: for a file that repeats a published space, that row
        :raises InputError: there is no such file
        :raises DataError: it is no such TOML; names the key, its value and what is expected
        """
        try:
            if Path(path).exists() and not Path(path).is_file():  # a pipe would never end
                raise InputError(f"the space file {path} is no file")
            with Path(path).open("rb") as file:
                read = file.read(MAX_FILE_BYTES + 1)
            if len(read) > MAX_FILE_BYTES:
                raise DataError(f"{path} has more than {MAX_FILE_BYTES} bytes: it is no space file")
            content = tomllib.loads(read.decode("utf-8"))
        except OSError as error:
            raise InputError(f"the space file {path} cannot be read: {error.strerror}") from None
        except HWGPTError:
            raise
        except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, or numbers without end
            raise DataError(f"{path} is no TOML: {printable(error)}") from None
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], source: str) -> Space:
        """The space that a mapping with the keys of a space file describes.

        :param source: where it comes from, for messages
        :raises DataError: names the key, its value and what is expected
        """
        for key in content:
            if key not in FILE_KEYS:
                raise DataError(f"{source}: {unknown('key', printable(key), FILE_KEYS)}")
        for key in FILE_KEYS:
            if key not in content:
                raise DataError(f"{source} lacks {key}; a space has {', '.join(FILE_KEYS)}")
        name = content["name"]
        if not is_name(name):
            raise DataError(
                f"{source}: name is {printable(repr(name)):.80}; expected up to 40 lower-case "
                "letters, digits, - and _, beginning with a letter, without -device-, and not "
                "ending in -repeats, -tabular, -published or -autogluon"
            )
        for key in (*_CHOICES.values(), *_NUMBERS):
            _check_integers(content[key], key, source)
        if content["network"] not in NETWORKS:
            raise DataError(f"{source}: {unknown('network', content['network'], NETWORKS)}")
        choices: dict[str, Any] = {f: tuple(content[key]) for f, key in _CHOICES.items()}
        space = cls(
            name=name, network=content["network"], **choices, **{k: content[k] for k in _NUMBERS}
        )
        space._check_size(source)
        published = SPACES.get(name)
        if published is None:
            return space
        if published.as_dict() != space.as_dict():
            raise DataError(
                f"{source}: name is {name!r}, a published space with other choices; choose another"
            )
        return published

    def _check_size(self, source: str) -> None:
        """Raise if models of it would not fit in memory, or counts not in a float.

        :raises DataError: they would not
        """
        from hwgpt_blackbox.domain.parameter_counts import largest_flops

        groups = 2 * len(self.embed_dims) * len(self.num_layers)
        cells = groups * self.max_layers * self.layer_codes
        if cells > MAX_CELLS:
            raise DataError(
                f"{source}: the choices of a layer (embed_dim, num_layers, bias, mlp_ratio, "
                f"num_heads) times {self.max_layers} layers are {cells}, more than {MAX_CELLS}; "
                "give fewer choices"
            )
        if largest_flops(self) >= MAX_COUNT:
            raise DataError(
                f"{source}: a forward pass of the largest architecture has more than {MAX_COUNT} "
                "FLOPs; make batch_size, sequence_length or the choices smaller"
            )

    def as_dict(self) -> dict[str, Any]:
        """Its content under the keys of a space file."""
        return {
            "name": self.name,
            **{key: list(getattr(self, field)) for field, key in _CHOICES.items()},
            **{key: getattr(self, key) for key in (*_NUMBERS, "network")},
        }

    def as_toml(self) -> str:
        """Its space file, one line a key."""
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.as_dict().items())

    @property
    def layer_codes(self) -> int:
        """Number of (MLP ratio, heads) choices of a layer."""
        return len(self.mlp_ratios) * len(self.num_heads)

    @property
    def max_layers(self) -> int:
        """Layers of the deepest architecture: the number of ``mlp_ratio_<i>`` keys."""
        return self.num_layers[-1]

    @cached_property
    def choices(self) -> dict[str, tuple[int, ...]]:
        """Hyperparameter name to its ascending choices, in the order of the encoding."""
        per_layer = range(self.max_layers)
        return {
            "num_layers": self.num_layers,
            "embed_dim": self.embed_dims,
            "bias": (False, True),
            **{f"mlp_ratio_{i}": self.mlp_ratios for i in per_layer},
            **{f"num_heads_{i}": self.num_heads for i in per_layer},
        }

    @property
    def num_architectures(self) -> int:
        """Number of distinct architectures (configurations in canonical form)."""
        total: int = sum(self.layer_codes**n for n in self.num_layers)
        return 2 * len(self.embed_dims) * total

    def config_space(self) -> dict[str, Any]:
        """The Syne Tune configuration space: every hyperparameter a ``choice``."""
        from syne_tune.config_space import choice

        return {name: choice(list(values)) for name, values in self.choices.items()}


SPACES: Mapping[str, Space] = MappingProxyType(
    {
        row.name: row
        for row in (
            #     name    embed_dim         layers        MLP ratio  heads        batch measured
            Space("s", (192, 384, 768), (10, 11, 12), (2, 3, 4), (4, 8, 12), 8, True),
            Space("m", (256, 512, 1024), (22, 23, 24), (2, 3, 4), (8, 12, 16), 4, True),
            Space("l", (320, 640, 1280), (34, 35, 36), (2, 3, 4), (8, 16, 20), 1, True),
            Space("s-wide", (192, 384, 768), (3, 6, 12), (1, 2, 4), (3, 6, 12), 8, False),
            Space("m-wide", (256, 512, 1024), (6, 12, 24), (1, 2, 4), (4, 8, 16), 4, False),
            Space("l-wide", (320, 640, 1280), (9, 18, 36), (1, 2, 4), (5, 10, 20), 1, False),
            Space("xl-wide", (400, 800, 1600), (12, 24, 48), (1, 2, 4), (6, 12, 25), 1, False),
        )
    }
)
"""Every space by name; read-only, since only these have models or counts."""

MEASURED_SPACES: tuple[str, ...] = tuple(row.name for row in SPACES.values() if row.measured)
"""Names of the spaces that have blackboxes."""


def is_name(name: object) -> bool:
    """Whether a space may have this name."""
    return isinstance(name, str) and bool(re.fullmatch(NAME, name)) and not _TAKEN.match(name)


def _check_integers(value: Any, key: str, source: str) -> None:
    """Raise unless it is an integer in its range, or for a hyperparameter ascending ones.

    :raises DataError: it is not
    """
    many = key in _CHOICES.values()
    values = value if many and isinstance(value, list) else [value]
    largest = _LARGEST[key]
    for entry in values:
        if type(entry) is not int or not 0 < entry <= largest:
            raise DataError(
                f"{source}: {key} has {printable(repr(entry)):.80}; expected integers from 1 to "
                f"{largest}"
                if many
                else f"{source}: {key} is {printable(repr(entry)):.80}; expected an integer from 1 "
                f"to {largest}"
            )
    if not many:
        return
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_CHOICES:
        raise DataError(
            f"{source}: {key} is {printable(repr(value)):.80}; expected a list of 2 to "
            f"{MAX_CHOICES} choices"
        )
    if any(a >= b for a, b in itertools.pairwise(value)):
        raise DataError(
            f"{source}: the choices of {key} are {value!r:.80}; list them ascending, each once"
        )


def get_space(name: str | Space, *, measured: bool = False) -> Space:
    """The published space called ``name``; a space itself stays as it is.

    :param measured: of the published spaces, admit only those with measurements
    :raises InputError: there is none
    """
    if isinstance(name, Space) and name.name not in SPACES:
        return name
    name = name.name if isinstance(name, Space) else name
    known = MEASURED_SPACES if measured else tuple(SPACES)
    if measured and isinstance(name, str) and name in SPACES and name not in known:
        raise InputError(
            f"no measurements of space {name!r} were published: it has definitions, parameters and "
            f"FLOPs only; choose one of {', '.join(known)}"
        )
    if not isinstance(name, str) or name not in known:
        raise unknown("space", name, known)
    return SPACES[name]
