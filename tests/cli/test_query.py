"""The words that describe a configuration on the command line."""

from __future__ import annotations

import json
import re

import pytest

from hwgpt_blackbox import HWGPT, architecture_of, best, load, model_config
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.cli.query import parse_configuration
from hwgpt_blackbox.domain.objectives import dataset_columns
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.dropin.names import sample_of
from hwgpt_blackbox.errors import InputError

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
        ("heads=4", "unknown hyperparameter of space s 'heads'; known: num_layers, embed_dim"),
        ("Num_Heads=4", "did you mean 'num_heads'?"),
        ("bias", "'bias' is not KEY=VALUE"),
        ("embed_dim_x=4", "did you mean 'embed_dim'?"),
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


# -- the best architecture -----------------------------------------------------------------------


def query(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and output of ``query --best``."""
    code = main(["query", "--best", *words])
    return code, *capsys.readouterr()


def test_best_is_what_the_exact_front_says(capsys: pytest.CaptureFixture[str]):
    words = ["--space", "m", "--device", "a40", "--max", "latency=30", "--min", "perplexity"]
    code, out, _ = query(capsys, *words, "--json")
    shown = json.loads(out)
    found = best("m", "perplexity", {"latency@a40": 30.0})
    assert code == 0
    assert shown["configuration"] == found.configuration
    assert shown["architecture"] == architecture_of("m", found.configuration)
    assert (shown["exact"], shown["minimised"]) == (True, "perplexity")
    assert shown["limits"] == {"latency@a40": 30.0}
    blackbox = load("m", "a40", noise=False)
    expected = blackbox(found.configuration, fidelity=1)
    assert shown["expected"] == {
        column.target: expected[name] for name, column in dataset_columns("a40").items()
    }
    assert shown["expected"]["latency@a40"] <= 30.0
    code, out, _ = query(capsys, *words)
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert lines["heads"].split()[1:] == list(map(str, shown["architecture"]["num_heads"]))
    assert f"{found.values['latency@a40']:.6g}" in lines["latency@a40"]
    assert lines["latency@a40"].split()[2:] == ["30", "ms"]
    assert lines["perplexity"].endswith("minimised")


def test_what_is_printed_is_read_again(capsys, tmp_path):
    """By ``query --config``, the model configuration and the drop-in alike."""
    words = ["--space", "s", "--device", "a40"]
    best_found = json.loads(query(capsys, *words, "--json")[1])
    configuration = best_found["configuration"]
    api = HWGPT("s", seed=0, noise=False)
    api.set_arch(best_found)
    assert api.query(metric="params")["params"] == best_found["expected"]["params"]
    forms = [
        best_found,
        best_found["architecture"],
        model_config("s", best_found).as_dict(),
        sample_of(SPACES["s"], api._matrix[0]),
        configuration,
    ]
    path = tmp_path / "architecture.json"
    for form in forms:
        path.write_text(json.dumps(form))
        assert main(["query", *words, "--config", str(path), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["configuration"] == configuration
        assert shown["expected"]["metric_latency"] == best_found["expected"]["latency@a40"]
        assert model_config("s", shown) == model_config("s", configuration)
    partial = {k: v for k, v in configuration.items() if k != "bias"}
    path.write_text(json.dumps(partial))  # words complete a configuration
    assert main(["query", *words, "--config", str(path), "bias=true"]) == 0
    path.write_text(
        json.dumps({"architecture": architecture_of("m", best("m", "params").configuration)})
    )
    assert main(["query", *words, "--config", str(path)]) == 2
    assert "space is 'm'; in space s it is 's'" in capsys.readouterr().err


def test_best_minimises_error_and_shows_it(capsys):
    code, out, _ = query(capsys, "--space", "l", "--min", "error", "--max", "params=5e8", "--json")
    shown = json.loads(out)
    found = best("l", "error", {"params": 5e8})
    assert (code, shown["minimised"], shown["units"]["error"]) == (0, "error", "1")
    assert shown["expected"]["error"] == found.values["error"]
    assert 0.55 < shown["expected"]["error"] < 0.6


def test_best_minimises_perplexity_without_limits_by_default(capsys):
    _, out, _ = query(capsys, "--space", "s", "--json")
    shown = json.loads(out)
    assert shown["configuration"] == best("s", "perplexity").configuration
    assert set(shown["expected"]) == {
        "perplexity",
        "error",
        "memory_float16",
        "memory_bfloat16",
        "flops",
        "params",
    }


def test_best_takes_several_limits_and_mixes_devices(capsys):
    pytest.importorskip("moocore")
    limits = ["--max", "latency=25", "--max", "energy@h100=1.4", "--max", "params=3e8"]
    code, out, _ = query(capsys, "--space", "l", "--device", "a40", *limits, "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["limits"] == {"latency@a40": 25.0, "energy@h100": 1.4, "params": 3e8}
    assert all(shown["expected"][name] <= limit for name, limit in shown["limits"].items())
    assert shown["units"]["energy@h100"] == "Wh"


def test_best_minimises_anything_in_wide_spaces_too(capsys):
    code, out, _ = query(
        capsys, "--space", "s", "--device", "v100", "--min", "energy", "--max", "perplexity=30"
    )
    assert code == 0
    assert "energy@v100" in out
    code, out, _ = query(capsys, "--space", "xl-wide", "--min", "flops", "--json")
    assert json.loads(out)["architecture"]["num_layers"] == 12
    assert set(json.loads(out)["expected"]) == {"flops", "params"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max", "latency=3"], "has latency@a40 at most 3 ms; the smallest value .* is 14.75"),
        (["--max", "perplexity=26", "--max", "latency=20"], "smallest value that one attains is"),
        (["--min", "energy", "--max", "energy=0.01"], "energy@a40 at most 0.01 Wh; the smallest"),
        (["--max", "latency"], "--max 'latency' is not OBJECTIVE=NUMBER; example"),
        (["--max", "latency=nan"], "is not OBJECTIVE=NUMBER"),
        (["--max", "latency=30ms"], "is not OBJECTIVE=NUMBER"),
        (["--max", "latencies=30"], "'latencies'; known: perplexity, error, latency@"),
        (["--max", "latency@a40=30", "--max", "latency=20"], "--max latency@a40 is given twice"),
        (["--min", "latency@tpu"], "unknown device 'tpu'"),
        (["num_layers=24"], "--best finds the architecture itself; leave out KEY=VALUE"),
        (["--seed", "0"], "leave out --seed"),
        (["--config", "-"], "leave out --config"),
    ],
)
def test_what_best_cannot_do_is_an_error_that_says_so(capsys, words: list[str], message: str):
    code, out, err = query(capsys, "--space", "m", "--device", "a40", *words)
    assert (code, out) == (2, "")
    assert re.search(message, err)


def test_several_limits_behind_one_max_were_blamed_on_their_form(capsys):
    words = ["--space", "m", "--device", "a40", "--max"]
    code, out, _ = query(capsys, *words, "latency=30", "params=3e8", "--json")
    assert code == 0
    assert json.loads(out)["limits"] == {"latency@a40": 30.0, "params": 3e8}
    code, _, err = query(capsys, *words, "a=20", "b=4")
    assert (code, "unknown objective 'a'" in err) == (2, True)


def test_options_of_best_need_it_and_objectives_need_a_device(capsys):
    assert main(["query", "--space", "m", "--max", "latency=30", *WORDS]) == 2
    assert "--max goes with --best" in capsys.readouterr().err
    code, _, err = query(capsys, "--space", "m", "--max", "latency=30")
    assert (code, "needs a device: write latency@a40, or give query --device" in err) == (2, True)
    code, _, err = query(capsys, "--space", "s-wide")
    assert (code, "space s-wide has no measurements, so no perplexity" in err) == (2, True)


def test_best_needs_numpy_alone(run_python):
    code = """
import sys
from hwgpt_blackbox.cli import main
main(["query", "--best", "--space", "m", "--device", "a40", "--max", "latency=30"])
print(*{name.partition(".")[0] for name in sys.modules})
"""
    loaded = set(run_python(code).stdout.splitlines()[-1].split())
    assert "numpy" in loaded
    assert not {"torch", "pandas", "syne_tune", "moocore", "matplotlib"} & loaded
