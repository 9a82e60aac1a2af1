"""From a configuration to a model: plain dict, model configuration, and counts that agree."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import equivalent

from hwgpt_blackbox import architecture_of, build_model, model_config
from hwgpt_blackbox.architecture import ModelConfig
from hwgpt_blackbox.counts import count
from hwgpt_blackbox.encoding import Encoding
from hwgpt_blackbox.errors import InputError, MissingExtraError
from hwgpt_blackbox.spaces import SPACES


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


def test_bad_input_is_an_error_that_names_value_and_cure(monkeypatch):
    encoding, matrix = sample("s", 1)
    configuration = encoding.decode_one(matrix[0])
    with pytest.raises(InputError, match="unknown space 'xs'"):
        architecture_of("xs", configuration)
    with pytest.raises(InputError, match="embed_dim is 100; choose one of 192, 384, 768"):
        model_config("s", configuration | {"embed_dim": 100})
    with pytest.raises(InputError, match=r"config is a dict; expected what model_config\(space"):
        build_model(configuration)  # type: ignore[arg-type]
    config = model_config("s", configuration)
    with pytest.raises(InputError, match="vocabulary 100; the formula holds for 64 and 50254"):
        replace(config, vocabulary=100).num_parameters  # noqa: B018
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
