"""The words that describe a configuration on the command line."""

from __future__ import annotations

import json

import pytest

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.cli.query import parse_configuration
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.spaces import SPACES

S = SPACES["s"]
WORDS = ["num_layers=11", "embed_dim=768", "bias=true", "mlp_ratio=4", "num_heads=12"]


def test_one_value_holds_for_every_layer_and_one_for_a_layer_counts_more():
    for words in (["mlp_ratio_0=2", *WORDS], [*WORDS, "mlp_ratio_0=2"]):
        configuration = parse_configuration(S, words)
        assert set(configuration) == set(S.choices)
        assert [configuration[f"mlp_ratio_{i}"] for i in range(12)] == [2] + [4] * 11
        assert configuration["bias"] is True


def test_a_list_names_the_layers_that_exist():
    words = [w for w in WORDS if not w.startswith("mlp")]
    configuration = parse_configuration(S, [*words, "mlp_ratio=" + ",".join("23" * 5 + "4")])
    assert [configuration[f"mlp_ratio_{i}"] for i in range(11)] == [2, 3] * 5 + [4]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mlp_ratio=4,3", "mlp_ratio lists 2 values; num_layers is 11: list 11"),
        ("num_layers=12", "num_layers is given twice, '11' and '12'"),
        ("heads=4", "'heads' is no hyperparameter of space s"),
        ("bias", "'bias' is not KEY=VALUE"),
        ("embed_dim_x=4", "no hyperparameter"),
    ],
)
def test_words_that_do_not_fit(word: str, message: str):
    words = [w for w in WORDS if not w.startswith(word.partition("=")[0]) or "layers" in word]
    with pytest.raises(InputError, match=message):
        parse_configuration(S, [*words, word])


@pytest.mark.parametrize("text", ["four", "2.0", ""])
def test_values_that_are_no_integers(text: str):
    with pytest.raises(InputError, match="expected an integer"):
        parse_configuration(S, [f"embed_dim={text}"])


def test_query_prints_expected_values_and_a_repeat(capsys: pytest.CaptureFixture[str]):
    assert main(["query", "--space", "s", "--device", "a100", "--json", "--seed", "3", *WORDS]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["configuration"]["mlp_ratio_11"] == 2  # canonical: the layer does not exist
    assert shown["expected"]["metric_latency"] != shown["measured"]["metric_latency"]
    assert shown["expected"]["metric_params"] == shown["measured"]["metric_params"]


def test_errors_exit_with_2(capsys: pytest.CaptureFixture[str]):
    assert main(["query", "--space", "s-wide", *WORDS]) == 2
    assert "no measurements of space 's-wide'" in capsys.readouterr().err
