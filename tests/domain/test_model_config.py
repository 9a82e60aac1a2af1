"""From a configuration to a model: plain dict, model configuration, and counts that agree."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import equivalent, own_space

import hwgpt_blackbox
from hwgpt_blackbox import architecture_of, best, build_model, model_config
from hwgpt_blackbox.domain.architecture_forms import as_configuration, as_lists
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import ModelConfig
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError, MissingExtraError


def sample(space: str, size: int, seed: int = 0) -> tuple[Encoding, np.ndarray]:
    encoding = Encoding(SPACES[space])
    return encoding, encoding.sample(size, np.random.default_rng(seed))


@pytest.mark.parametrize("space", SPACES)
def test_the_dict_names_the_layers_that_exist_and_fits_json(space: str):
    encoding, matrix = sample(space, 10)
    others = equivalent(encoding, matrix, np.random.default_rng(1))
    for row, other in zip(matrix, others, strict=True):
        configuration = encoding.decode_one(row)
        found = architecture_of(space, configuration)
        assert json.loads(json.dumps(found)) == found
        assert found == architecture_of(space, encoding.decode_one(other))
        layers = configuration["num_layers"]
        assert len(found["mlp_ratios"]) == len(found["num_heads"]) == layers == found["num_layers"]
        assert found["mlp_ratios"] == [configuration[f"mlp_ratio_{i}"] for i in range(layers)]
        assert found["num_heads"] == [configuration[f"num_heads_{i}"] for i in range(layers)]
        assert (found["embed_dim"], found["bias"]) == (
            configuration["embed_dim"],
            configuration["bias"],
        )


@pytest.mark.parametrize("space", SPACES)
def test_model_configurations_count_what_the_blackboxes_say(space: str):
    encoding, matrix = sample(space, 50)
    for row, params in zip(matrix, count(encoding, matrix, "params"), strict=True):
        config = model_config(space, encoding.decode_one(row))
        assert config.num_parameters == params
        assert ModelConfig(**json.loads(json.dumps(config.as_dict()))) == config


def forms_of(space: str, row: np.ndarray) -> dict[str, Any]:
    """One architecture in every form that is printed or returned, as JSON leaves it."""
    encoding = Encoding(SPACES[space])
    configuration = encoding.canonical_form(encoding.decode_one(row))
    architecture = architecture_of(space, configuration)
    layers = range(configuration["num_layers"])
    forms = {
        "configuration": configuration,
        "architecture_of": architecture,
        "as_dict": model_config(space, configuration).as_dict(),
        "query --best --json": {"architecture": architecture, "configuration": configuration},
        "query --json": {"configuration": configuration, "expected": {"perplexity": 20.0}},
        "sample_arch": {
            "sample_embed_dim": configuration["embed_dim"],
            "sample_n_layer": configuration["num_layers"],
            "sample_layer_indices": list(layers),
            "sample_n_head": [configuration[f"num_heads_{i}"] for i in layers],
            "sample_mlp_ratio": [configuration[f"mlp_ratio_{i}"] for i in layers],
            "sample_bias": str(configuration["bias"]),
        },
        "string": "-".join(
            [
                f"gpt-{space}-{len(layers)}-{configuration['embed_dim']}",
                *(str(configuration[f"mlp_ratio_{i}"]) for i in layers),
                *(str(configuration[f"num_heads_{i}"]) for i in layers),
                str(configuration["bias"]),
            ]
        ),
    }
    return json.loads(json.dumps(forms))


@pytest.mark.parametrize("space", SPACES)
def test_every_form_of_an_architecture_is_read_alike(space: str):
    encoding, matrix = sample(space, 5)
    for row in matrix:
        forms = forms_of(space, row)
        expected = ModelConfig(**forms["as_dict"])
        for name, form in forms.items():
            read = as_configuration(SPACES[space], form)
            assert encoding.encode_one(read) == row.tolist(), name
            assert model_config(space, form) == expected, name
            assert architecture_of(space, form) == forms["architecture_of"], name
            assert ModelConfig(**as_lists(form)) == expected, name
        assert model_config(space, expected) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "m"}, "space is 'm'; in space s it is 's'"),
        ({"vocabulary": 100}, "vocabulary is 100; in space s it is 50254"),
        ({"mlp_ratio": [2] * 10}, "unknown key of an architecture 'mlp_ratio'"),
        ({"num_layers": 9}, "mlp_ratios is or has 10 entries; expected a list of 9 entries"),
        ({"mlp_ratios": [2] * 9 + [5]}, r"mlp_ratios\[9\] is 5; choose one of 2, 3, 4"),
        ({"embed_dim": "192"}, "embed_dim is '192'; choose one of 192, 384, 768"),
        ({"bias": 1}, "bias is 1; choose True or False"),
        ({"num_layers": None}, "num_layers is None; expected the number of layers"),
    ],
)
def test_bad_architectures_with_lists_name_key_value_and_choices(changes, message):
    given = architecture_of("s", best("s", "params").configuration) | changes
    with pytest.raises(InputError, match=message):
        model_config("s", given)


def test_the_model_configuration_is_public():
    assert hwgpt_blackbox.ModelConfig is ModelConfig


def test_bad_input_is_an_error_that_names_value_and_cure(monkeypatch):
    encoding, matrix = sample("s", 1)
    configuration = encoding.decode_one(matrix[0])
    with pytest.raises(InputError, match="unknown space 'xs'"):
        architecture_of("xs", configuration)
    with pytest.raises(InputError, match="embed_dim is 100; choose one of 192, 384, 768"):
        model_config("s", configuration | {"embed_dim": 100})
    for bad, message in (
        (7, r"an architecture is a int; expected a dict"),
        ("gpt", "'gpt' is no architecture; expected gpt-<space>-"),
        ("gpt-m-10", "'gpt-m-10' is no architecture of space m"),
        ({}, "num_layers is None; expected the number of layers"),
        ({"num_layers": 10**12, "embed_dim": 8, "bias": True}, "lacks 'mlp_ratio_0'"),
        ({"num_heads": [1]}, "lacks embed_dim, num_layers, bias, mlp_ratios"),
        (architecture_of("s", configuration) | {"num_heads": [1]}, "num_heads is or has 1 entries"),
        (model_config("s", configuration).as_dict() | {"vocabulary": 0}, "vocabulary has 0"),
    ):
        with pytest.raises(InputError, match=message):
            build_model(bad)  # type: ignore[arg-type]
    config = model_config("s", configuration)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"torch is not installed; .*\[bayesian\]"):
        build_model(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": (1,)}, "mlp_ratios has 2 entries and num_heads 1"),
        ({"num_heads": (1, 0)}, "num_heads has 0; expected integers, 1 or more"),
        ({"embed_dim": 1.5}, "embed_dim has 1.5"),
        ({"embed_dim": True}, "embed_dim has True"),
        ({"network": "gelu"}, "unknown network 'gelu'; .*did you mean 'gelu-tied'"),
        ({"bias": "False"}, "bias is 'False'; expected True or False"),
        ({"rotary_share": 2.0}, "rotary_share is 2.0; expected a number from 0"),
    ],
)
def test_model_configurations_are_checked(changes, message):
    with pytest.raises(InputError, match=message):
        replace(ModelConfig(8, True, (1, 2), (1, 1)), **changes)


def test_architectures_load_no_torch(run_python):
    code = """
import sys, hwgpt_blackbox
found = hwgpt_blackbox.best("s", "params").configuration
print(hwgpt_blackbox.model_config("s", found).num_parameters, "torch" in sys.modules)
"""
    encoding = Encoding(SPACES["s"])
    smallest = np.zeros((1, encoding.num_columns), dtype=np.uint8)
    params = count(encoding, smallest, "params")[0]
    assert run_python(code).stdout.split() == [str(params), "False"]


def test_a_model_of_a_space_of_ones_own_has_its_sizes():
    space = own_space(head_size=8, vocabulary=101, sequence_length=32, network="gelu-tied")
    configuration = Encoding(space).decode_one([0] * len(space.choices))
    config = model_config(space, configuration)
    assert (config.head_size, config.vocabulary, config.sequence_length) == (8, 101, 32)
    assert config.network == "gelu-tied"
    architecture = architecture_of(space, configuration)
    assert ModelConfig(**as_lists(architecture)) == config
    assert model_config(space, architecture) == config
    with pytest.raises(InputError, match="vocabulary is 102; in space mine it is 101"):
        model_config(space, architecture | {"vocabulary": 102})
