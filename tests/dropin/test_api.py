"""``HWGPT`` answers as the published class does, with the values of the blackboxes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from helpers import embedded

import hwgpt_blackbox
from hwgpt_blackbox import HWGPT
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.dropin import api as api_module
from hwgpt_blackbox.errors import HWGPTError, InputError, MissingArtifactError, MissingExtraError
from hwgpt_blackbox.models.surrogate import Surrogate

KEYS = {
    "sample_embed_dim",
    "sample_n_layer",
    "sample_layer_indices",
    "sample_n_head",
    "sample_mlp_ratio",
    "sample_bias",
}
EXACT = ["flops", "params", "float16_memory", "bfloat16_memory"]

PUBLISHED_README = """
from hwgpt_blackbox import HWGPT
api = HWGPT(search_space="s",use_supernet_surrogate=False) # initialize API
random_arch = api.sample_arch() # sample random arch
api.set_arch(random_arch) # set  arch
results = api.query() # query all for the sampled arch
print("Results: ", results)
energy = api.query(metric="energies") # query energy
print("Energy: ", energy)
rtx2080 = api.query(device="rtx2080") # query device
print("RTX2080: ", rtx2080)
# query perplexity based on mlp predictor
perplexity_mlp = api.query(metric="perplexity",predictor="mlp")
print("Perplexity MLP: ", perplexity_mlp)
"""
"""The example of the published README, word for word but for the import."""


def arch(space: str = "s", **changes: Any) -> dict[str, Any]:
    """A dict as the published package passes it."""
    row = SPACES[space]
    layers = row.num_layers[0]
    return {
        "sample_embed_dim": row.embed_dims[1],
        "sample_n_layer": layers,
        "sample_n_head": [row.num_heads[i % 3] for i in range(layers)],
        "sample_mlp_ratio": [row.mlp_ratios[(i + 1) % 3] for i in range(layers)],
        "sample_bias": True,
        **changes,
    }


def configuration_of(api: HWGPT, sample: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the same architecture, spelt out anew."""
    space = SPACES[api.search_space_name]
    found = {name: choices[0] for name, choices in space.choices.items()}
    found["num_layers"] = sample["sample_n_layer"]
    found["embed_dim"] = sample["sample_embed_dim"]
    found["bias"] = sample["sample_bias"] in (True, "True")
    for i in range(sample["sample_n_layer"]):
        found[f"mlp_ratio_{i}"] = sample["sample_mlp_ratio"][i]
        found[f"num_heads_{i}"] = sample["sample_n_head"][i]
    return found


def test_the_published_example_runs_with_the_import_changed_without_torch(run_python):
    code = PUBLISHED_README + (
        "import sys\nprint(*sorted({m.split('.')[0] for m in sys.modules}), sep=',')\n"
    )
    *lines, loaded = run_python(code).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Results",
        "Energy",
        "RTX2080",
        "Perplexity MLP",
    ]
    assert not {"torch", "pandas", "syne_tune", "autogluon"} & set(loaded.split(","))


def test_the_published_objective_scripts_get_their_numbers():
    """What ``baselines/gpt_objective_*.py`` ask, with the dicts that they build."""
    sampled_config = {"sample_n_layer": 10, "sample_embed_dim": 768, "sample_bias": str(True)}
    sampled_config |= {"sample_n_head": [12] * 12, "sample_mlp_ratio": [4] * 12}
    api = HWGPT(search_space="s", use_supernet_surrogate=False, base_path=".")
    api.set_arch(sampled_config)
    assert api.query(metric="perplexity", predictor="mlp")["perplexity"] > 1
    assert api.query(metric="energies", device="v100")["energies"]["v100"] > 0
    objectives, device_list = ["energies", "latencies"], ["a6000", "rtx2080"]
    hw_metrics = api.query(metric=objectives, device=device_list)
    for objective, device in zip(objectives, device_list, strict=True):
        assert hw_metrics[objective][device] > 0
    assert api.query(metric="bfloat16_memory")["bfloat16_memory"] > 0
    assert api.query(metric="flops", predictor="mlp", device=None)["flops"] > 0


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_clients_read_the_choices_of_the_space(space: str):
    """As published wrappers do: the smallest and largest architecture out of ``cfg_model``."""
    api = HWGPT(search_space=space, use_supernet_surrogate=False, base_path="../HW-GPT-Bench")
    model, row = api.cfg_model.model, SPACES[space]
    assert sorted(model.embed_choices) == list(row.embed_dims)
    assert set(model.bias_choices) == {True, False}
    perplexities = []
    for end in (0, -1):
        layers = sorted(model.layer_choices)[end]
        candidate = {
            "sample_embed_dim": sorted(model.embed_choices)[end],
            "sample_n_layer": layers,
            "sample_n_head": [sorted(model.head_choices)[end]] * layers,
            "sample_mlp_ratio": [sorted(model.mlp_ratio_choices)[end]] * layers,
            "sample_bias": "true",
        }
        api.set_arch(candidate)
        assert (model.n_embd, model.n_layer) == (candidate["sample_embed_dim"], layers)
        assert model.n_head == candidate["sample_n_head"]
        assert model.mlp_ratio == candidate["sample_mlp_ratio"]
        assert model.bias == model["bias"] == "True"
        perplexities.append(api.query(metric="perplexity")["perplexity"])
    assert perplexities[0] > perplexities[1]
    assert api.get_model_config().model.embed_choices == model.embed_choices
    with pytest.raises(AttributeError, match="'train_strategy' of the published settings"):
        model.train_strategy  # noqa: B018


@pytest.mark.parametrize("unit_system", ["ours", "published"])
def test_drawn_architectures_are_what_the_newest_published_functions_take(unit_system: str):
    """They join the bias to a text, look it up among the choices and compare it with ``"True"``."""
    api = HWGPT("s", seed=0, unit_system=unit_system)
    drawn = api.sample_arch(20)
    choices = api.search_space["bias_choices"]
    assert choices == ["True", "False"]
    assert {choices.index(sample["sample_bias"]) for sample in drawn} == {0, 1}
    assert {"gpt-" + sample["sample_bias"] for sample in drawn} == {"gpt-True", "gpt-False"}
    for sample in drawn:
        api.set_arch(sample)
        assert api.cfg_model.model.bias == sample["sample_bias"]


def test_what_the_published_class_accepts_is_accepted():
    api = HWGPT("s", seed=0)
    answers = []
    for form in (
        arch(),
        arch(sample_bias="true"),
        arch(sample_embed_dim=384.0, sample_n_layer=10.0),
        arch(sample_mlp_ratio=np.array(arch()["sample_mlp_ratio"], dtype=float)),
        arch(note="mine", sample_index=3),
    ):
        api.set_arch(form)
        answers.append(api.query())
    assert all(answer == answers[0] for answer in answers)


def test_an_architecture_that_is_assigned_is_the_one_that_is_asked_about():
    first, second = HWGPT("s", seed=0), HWGPT("s", seed=0)
    first.sample_arch()
    first.config = arch()
    first.reset_config()
    second.set_arch(arch())
    assert first.query() == second.query()
    assert first.cfg_model == second.cfg_model
    with pytest.raises(InputError, match="an architecture is a NoneType"):
        first.config = None
    assert first.config == arch()


def test_older_names_answer():
    api = hwgpt_blackbox.HWGPTBenchAPI("s", seed=2)
    sample = api.sample_random_arch()
    assert api.config == sample
    results = api.query(device="a100", hw_metric="latencies")
    assert set(results) == {"perplexity", "latencies"}
    assert results["latencies"] == api.query("a100", "latencies")["latencies"]
    assert set(api.query(hw_metric="flops")) == {"perplexity", "flops"}
    with pytest.raises(InputError, match="metric='flops' and hw_metric='params': give one"):
        api.query(metric="flops", hw_metric="params")


def test_lists_say_what_was_asked():
    api = HWGPT("s", seed=0)
    everything = (api.hw_metrics_surrogate, api.hw_metrics_true, api.device_list)
    asked = lambda: (api.hw_metrics_surrogate_query, api.hw_metrics_true_query, api.device_query)  # noqa: E731
    assert asked() == everything
    api.sample_arch()
    api.query(metric=["energies", "flops"], device="a40")
    assert asked() == (["energies"], ["flops"], ["a40"])
    api.set_metrics_and_devices("latencies")
    assert asked() == (["latencies"], [], list(DEVICES))
    api.init_devices()
    assert asked() == everything
    assert api.on_device == "cpu"
    with pytest.raises(InputError, match="unknown device 'tpu'"):
        api.set_metrics_and_devices(device="tpu")


@pytest.mark.parametrize("name", ["surrogate_ppl", "gpt_ppl_profiler"])
def test_what_is_not_provided_says_what_to_use(name: str):
    api = HWGPT("s")
    with pytest.raises(AttributeError, match=f"HWGPT has no '{name}' here; use [a-z_]+"):
        getattr(api, name)
    assert not hasattr(api, "nonsense")
    assert copy.deepcopy(api).search_space_name == "s"


def test_every_attribute_of_the_published_class_is_there_or_says_what_to_use():
    api = HWGPT("s")
    published = """
        search_space search_space_name device_list hw_metrics_surrogate hw_metrics_true metrics
        config use_supernet_surrogate surrogate_ppl on_device cfg_model gpt_ppl_profiler base_path
        device_query hw_metrics_surrogate_query hw_metrics_true_query init_devices get_model_config
        prepare_args_for_ppl_profiler reset_config create_model sample_arch sample_random_arch
        set_arch compute_predictions_ppl set_metrics_and_devices get_flops get_params get_memory
        compute_predictions_hw eval_supernet_surrogate get_gt_latencies get_gt_energies
        get_gt_agnostic query_gt_all_archs query
    """
    missing = {name for name in published.split() if not hasattr(api, name)}
    assert missing == set(api_module.SUBSTITUTES)
    assert isinstance(HWGPT.gt_stats, property)


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_answers_have_the_published_structure(space: str):
    api = HWGPT(search_space=space, use_supernet_surrogate=False)
    drawn = api.sample_arch()
    assert set(drawn) == KEYS
    assert drawn["sample_layer_indices"] == list(range(drawn["sample_n_layer"]))
    assert (
        len(drawn["sample_n_head"]) == len(drawn["sample_mlp_ratio"]) == (SPACES[space].max_layers)
    )
    api.set_arch(drawn)
    results = api.query()
    assert set(results) == {"perplexity", "latencies", "energies", *EXACT}
    for name in ("latencies", "energies"):
        assert list(results[name]) == list(DEVICES) == api.device_list
        assert all(type(value) is float and value > 0 for value in results[name].values())
    assert type(results["flops"]) is type(results["params"]) is int
    assert set(api.query(metric="energies")) == {"energies"}
    assert set(api.query(metric="energies")["energies"]) == set(DEVICES)
    by_device = api.query(device="rtx2080")
    assert {k: list(v) for k, v in by_device.items()} == {
        "latencies": ["rtx2080"],
        "energies": ["rtx2080"],
    }
    assert set(api.query(metric="perplexity", predictor="mlp")) == {"perplexity"}
    assert set(api.query(metric=["flops", "energies", "perplexity"], device=["a40", "h100"])) == {
        "flops",
        "energies",
        "perplexity",
    }
    assert set(api.search_space) == {
        "embed_dim_choices",
        "n_layer_choices",
        "mlp_ratio_choices",
        "n_head_choices",
        "bias_choices",
    }


def test_values_are_those_of_the_blackboxes():
    api = HWGPT("m", seed=7)
    sample = api.sample_arch()
    configuration = configuration_of(api, sample)
    results = api.query()
    for device in ("rtx2080", "cpu_amd_7513"):
        blackbox = hwgpt_blackbox.load("m", device)
        measured = blackbox(configuration, fidelity=1, seed=7)
        assert results["latencies"][device] == measured["metric_latency"]
        assert results["energies"][device] == measured["metric_energy"]
        for theirs, ours in (
            ("perplexity", "perplexity"),
            ("flops", "flops"),
            ("params", "params"),
            ("float16_memory", "memory_float16"),
            ("bfloat16_memory", "memory_bfloat16"),
        ):
            assert results[theirs] == measured[f"metric_{ours}"]
    quiet = HWGPT("m", noise=False)
    quiet.set_arch(sample)
    blackbox = hwgpt_blackbox.load("m", "a40", noise=False)
    expected = blackbox(configuration, fidelity=1)
    assert quiet.query("a40", "latencies")["latencies"]["a40"] == expected["metric_latency"]


def test_methods_beside_query_answer_the_same():
    api = HWGPT("s", seed=1)
    api.sample_arch()
    results = api.query()
    assert api.get_flops() == results["flops"]
    assert api.get_params() == results["params"]
    assert api.get_memory("float16_memory") == results["float16_memory"]
    assert api.compute_predictions_ppl() == results["perplexity"]
    assert api.compute_predictions_hw("energies", "v100") == results["energies"]["v100"]


# -- seeds ---------------------------------------------------------------------------------------


def test_one_seed_gives_the_same_answers_in_any_order():
    first, second, other = HWGPT("s", seed=3), HWGPT("s", seed=3), HWGPT("s", seed=4)
    architectures = [first.sample_arch() for _ in range(3)]
    assert architectures == [second.sample_arch() for _ in range(3)]
    assert architectures != [other.sample_arch() for _ in range(3)]
    one_by_one = {}
    for i in (2, 0, 1):
        first.set_arch(architectures[i])
        one_by_one[i] = first.query(metric="energies"), first.query()
        assert one_by_one[i][0]["energies"] == one_by_one[i][1]["energies"]
    for i in (0, 1, 2):
        second.set_arch(architectures[i])
        assert second.query() == one_by_one[i][1]
        other.set_arch(architectures[i])
        assert other.query()["energies"] != one_by_one[i][1]["energies"]
        assert other.query(seed=3) == one_by_one[i][1]


def test_without_a_seed_every_query_measures_anew():
    api = HWGPT("s")
    api.set_arch(arch())
    draws = {api.query("P100", "energies")["energies"]["P100"] for _ in range(5)}
    assert len(draws) == 5
    assert len({api.query(metric="perplexity")["perplexity"] for _ in range(5)}) == 1


def test_the_global_random_state_is_neither_used_nor_changed():
    import random

    random.seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist()
    HWGPT("s").sample_arch()
    HWGPT("s", seed=0).sample_arch(3)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


# -- forms of architectures ------------------------------------------------------------------------


def test_every_form_of_an_architecture_gets_the_same_answers():
    api = HWGPT("s", seed=0)
    sample = arch(sample_bias=False)
    mlp, heads = (map(str, sample[k]) for k in ("sample_mlp_ratio", "sample_n_head"))
    string = "-".join(["gpt", "s", "10", "384", *mlp, *heads, "False"])
    longer = {k: [*sample[k], "no layer", None] for k in ("sample_mlp_ratio", "sample_n_head")}
    forms = [
        sample,
        {**sample, "sample_bias": "False"},
        {**sample, "sample_layer_indices": list(range(10))},
        {**sample, **longer},
        {**sample, "sample_n_head": np.array(sample["sample_n_head"])},
        {**sample, "sample_embed_dim": np.int64(384), "sample_bias": np.False_},
        string,
        configuration_of(api, sample),
        hwgpt_blackbox.architecture_of("s", sample),
        hwgpt_blackbox.model_config("s", sample),
        hwgpt_blackbox.model_config("s", sample).as_dict(),
        {"architecture": hwgpt_blackbox.architecture_of("s", sample), "expected": {}},
    ]
    answers = []
    for form in forms:
        api.set_arch(form)
        answers.append(api.query())
    assert all(answer == answers[0] for answer in answers)
    api.set_arch({**sample, "sample_bias": True})
    assert api.query()["params"] > answers[0]["params"]


def test_a_list_of_architectures_gets_arrays_with_the_bits_of_single_queries():
    api = HWGPT("l", seed=5)
    architectures = api.sample_arch(20)
    together = api.query()
    assert together["flops"].dtype == np.int64
    for i, single in enumerate(architectures):
        api.set_arch(single)
        alone = api.query()
        for name in ("perplexity", *EXACT):
            assert together[name][i] == alone[name]
        for name in ("latencies", "energies"):
            assert {d: v[i] for d, v in together[name].items()} == alone[name]
    api.set_arch([architectures[0]])
    assert api.query(metric="params")["params"].shape == (1,)


def test_what_the_caller_passes_is_kept():
    api = HWGPT("s", seed=0)
    sample = arch()
    before = copy.deepcopy(sample)
    api.set_arch(sample)
    answer = api.query()
    sample["sample_n_head"][0] = sample["sample_mlp_ratio"][0] = 99
    answer["energies"].clear()
    assert api.config == before
    assert api.query()["energies"]
    drawn = api.sample_arch()
    drawn["sample_n_head"].clear()
    assert api.config["sample_n_head"]
    api.sample_arch(3)
    api.query(metric="params")["params"][:] = 0
    assert (api.query(metric="params")["params"] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_n_layer": 9}, r"sample_n_layer is 9; choose one of 10, 11, 12"),
        ({"sample_n_layer": True}, "sample_n_layer is True"),
        ({"sample_n_layer": "10"}, "sample_n_layer is '10'"),
        ({"sample_embed_dim": 512}, "sample_embed_dim is 512; choose one of 192, 384, 768"),
        ({"sample_bias": "yes"}, "sample_bias is 'yes'; choose True or False"),
        ({"sample_bias": 1}, "sample_bias is 1"),
        ({"sample_n_head": [4] * 9}, "sample_n_head is or has 9 entries; expected a list of 10"),
        ({"sample_n_head": [4] * 13}, "sample_n_head is or has 13 entries"),
        ({"sample_n_head": 12}, "sample_n_head is or has 12; expected a list"),
        ({"sample_mlp_ratio": "2223334442"}, "sample_mlp_ratio is or has '2223334442'"),
        ({"sample_mlp_ratio": [2] * 9 + [5]}, r"sample_mlp_ratio\[9\] is 5; choose one of 2, 3, 4"),
        ({"sample_mlp_ratio": [2] * 9 + [2.5]}, r"sample_mlp_ratio\[9\] is 2.5"),
        ({"sample_layer_indices": [1, 2]}, "sample_layer_indices is .* expected 0 to 9"),
    ],
)
def test_bad_architectures_are_errors_that_name_value_and_cure(changes: Any, message: str):
    api = HWGPT("s")
    with pytest.raises(InputError, match=message):
        api.set_arch(arch(**changes))
    with pytest.raises(InputError, match="architecture 1: "):
        api.set_arch([arch(), arch(**changes)])
    assert api.config is None


def test_other_bad_input_is_an_error_that_names_value_and_cure(artifacts):
    api = HWGPT("s")
    for call, message in [
        (lambda: HWGPT("xl"), "unknown space 'xl'; known: s, m, l"),
        (lambda: HWGPT("s-wide"), "no measurements of space 's-wide'"),
        (lambda: HWGPT("s", "no"), "use_supernet_surrogate is 'no'"),
        (lambda: HWGPT("s", seed=-1), "seed is -1"),
        (lambda: HWGPT("s", seed=1.5), "seed is 1.5"),
        (lambda: HWGPT("s", unit_system="SI"), "unknown unit system 'SI'; known: ours, published"),
        (lambda: api.query(), r"no architecture is set; call set_arch\(…\) or sample_arch\(\)"),
        (lambda: api.create_model(), "no architecture is set"),
        (lambda: api.set_arch([]), "list of architectures is empty"),
        (lambda: api.set_arch(None), "an architecture is a NoneType"),
        (lambda: api.set_arch({"sample_bias": True}), "lacks sample_embed_dim, sample_n_layer"),
        (lambda: api.set_arch("gpt-m-10"), "'gpt-m-10' is no architecture of space s"),
        (lambda: api.sample_arch(0), "size is 0"),
        (lambda: api.get_gt_agnostic("gpt", "energies"), "ask get_gt_energies"),
        (lambda: api.query_gt_all_archs("latencies"), "depends on the device; name one of a100"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    api.set_arch(arch())
    for arguments, message in [
        ({"device": "tpu"}, "unknown device 'tpu'; known: a100"),
        ({"device": []}, "device is \\[\\]; expected a name or a list"),
        ({"metric": "latency"}, "metric 'latency' is called 'latencies' here"),
        ({"metric": "accuracy"}, "unknown metric 'accuracy'"),
        ({"metric": 3}, "metric is 3"),
        ({"metric": ["energies", None]}, "unknown metric None"),
        ({"metric": "perplexity", "predictor": "xgb"}, "unknown predictor 'xgb'; known: mlp, "),
        ({"seed": "a"}, "seed is 'a'"),
    ]:
        with pytest.raises(InputError, match=message):
            api.query(**arguments)


def test_what_needs_a_table_says_how_to_get_it(artifacts):
    api = HWGPT("m", seed=0)
    sample = api.sample_arch()
    command = "hwgpt-blackbox convert SOURCE --space m"
    for call in (
        lambda: api.query(metric="perplexity", predictor="supernet"),
        lambda: HWGPT("m", use_supernet_surrogate=True),
        lambda: api.query_gt_all_archs("flops"),
    ):
        with pytest.raises(MissingArtifactError, match=command):
            call()
    with pytest.raises(MissingArtifactError, match=f"{command} --only published"):
        api.query(metric="perplexity", predictor="published-mlp")
    assert api.config == sample


# -- published units -----------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_published_units(space: str):
    ours, theirs = HWGPT(space, seed=2), HWGPT(space, seed=2, unit_system="published")
    sample = arch(space)
    ours.set_arch(sample)
    theirs.set_arch(sample)
    a, b = ours.query(), theirs.query()
    assert a["latencies"] == b["latencies"]
    assert {k: a[k] for k in EXACT[2:]} == {k: b[k] for k in EXACT[2:]}
    for device in DEVICES:
        factor = 1000.0 if device.startswith("cpu") else 1.0
        assert b["energies"][device] == pytest.approx(factor * a["energies"][device], rel=1e-12)
    layers, width = sample["sample_n_layer"], sample["sample_embed_dim"]
    assert b["params"] == a["params"]  # with bias they agree
    assert b["flops"] == 2 * 1024 * b["params"] + 2 * (4 * layers * width * 1024**2)


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_published_counts_take_any_text_for_a_bias(space: str):
    api = HWGPT(space, unit_system="published", seed=0)
    encoding = Encoding(SPACES[space])
    for _ in range(5):
        sample = api.sample_arch()
        assert sample["sample_bias"] in ("True", "False")
        api.set_arch(sample | {"sample_bias": "False"})
        as_text = api.query(metric=["params", "flops"])
        with_bias = configuration_of(api, sample) | {"bias": True}
        assert as_text["params"] == count(encoding, encoding.encode([with_bias]), "params")[0]
        api.set_arch(sample | {"sample_bias": False})
        without = encoding.encode([with_bias | {"bias": False}])
        assert api.query(metric="params")["params"] == count(encoding, without, "params")[0]
        assert api.query(metric="flops")["flops"] < as_text["flops"]


def test_published_counts_are_those_of_the_model_that_torch_builds():
    api = HWGPT("s", unit_system="published", seed=0)
    api.set_arch(arch(sample_bias="True"))
    assert api.create_model(device="meta").num_parameters == api.get_params()


# -- devices, models -------------------------------------------------------------------------------


def test_a_device_of_ones_own_is_asked_like_the_others(monkeypatch):
    base = embedded("s")
    models = {**base.models, "latency@mine": base.models["latency@a40"]}
    surrogate = Surrogate(base.space, models, base.levels, base.manifest)
    monkeypatch.setattr(api_module, "load_surrogate", lambda space: surrogate)
    api = HWGPT("s", noise=False)
    assert api.device_list == [*DEVICES, "mine"]
    api.set_arch(arch())
    results = api.query()
    assert results["latencies"]["mine"] == results["latencies"]["a40"]
    assert "mine" not in results["energies"]  # not measured
    assert list(api.query(device="mine")) == ["latencies"]
    assert list(api.query(metric="energies")["energies"]) == list(DEVICES)
    assert list(api.query("all", "latencies")["latencies"]) == [*DEVICES, "mine"]
    with pytest.raises(InputError, match="energies were not measured on mine"):
        api.query(device="mine", metric="energies")


def test_a_list_cannot_be_built(monkeypatch):
    api = HWGPT("s", seed=0)
    api.sample_arch(2)
    with pytest.raises(InputError, match="a list of architectures is set"):
        api.create_model()
    api.sample_arch()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install"):
        api.create_model()


def test_errors_are_value_errors_as_in_the_published_class():
    with pytest.raises(ValueError, match="set_arch") as caught:
        HWGPT("s").query()
    assert isinstance(caught.value, HWGPTError)
