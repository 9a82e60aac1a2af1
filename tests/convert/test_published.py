from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import equivalent, rewrite_manifest
from synthetic_checkout import Source, checkpoint_path, make_source, predict, write_networks

import hwgpt_blackbox
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.published import CHECKPOINTS, FILES, convert_published
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, OutputError
from hwgpt_blackbox.models.published_network import INPUTS, NETWORK_TARGETS, PublishedNetwork
from hwgpt_blackbox.storage.networks import read_networks

torch = pytest.importorskip("torch")

SPACES_HERE = ("s", "m", "l")
HARDWARE = [target for target in NETWORK_TARGETS if target != "perplexity"]


def random_state(inputs: int, rng: np.random.Generator, width: int = 16) -> dict[str, Any]:
    sizes = [inputs, width, width, width, width, 1]
    state = {}
    for k in range(5):
        weight = rng.normal(0.0, 1.0 / np.sqrt(sizes[k]), size=(sizes[k + 1], sizes[k]))
        state[f"fc{k + 1}.weight"] = torch.tensor(weight, dtype=torch.float32)
        state[f"fc{k + 1}.bias"] = torch.tensor(rng.normal(size=sizes[k + 1]), dtype=torch.float32)
    state["fc5.bias"] += 5.0
    return state


def write_source(root: Path, space: str = "s") -> Source:
    """A checkout with networks of every metric."""
    source = make_source(space, n=96)
    source.write(root)
    write_networks(root, source)
    return source


def by_torch(state: dict[str, Any], x: np.ndarray) -> np.ndarray:
    values = torch.tensor(x, dtype=torch.float32)
    for k in range(1, 6):
        values = torch.nn.functional.linear(values, state[f"fc{k}.weight"], state[f"fc{k}.bias"])
        values = torch.relu(values) if k < 5 else values
    return values[:, 0].double().numpy()


def network_of(space: str, inputs: str, state: dict[str, Any]) -> PublishedNetwork:
    arrays = [tensor.numpy() for tensor in state.values()]
    return PublishedNetwork(SPACES[space], inputs, arrays[::2], arrays[1::2])


# -- evaluation ------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("space", SPACES_HERE)
def test_outputs_are_those_of_torch(space: str, inputs: str) -> None:
    rng = np.random.default_rng(0)
    matrix = Encoding(SPACES[space]).sample(3000, rng)  # more than one chunk
    x = INPUTS[inputs](SPACES[space], matrix)
    state = random_state(x.shape[1], rng, width=128)
    found = network_of(space, inputs, state).output(matrix)
    np.testing.assert_allclose(found, by_torch(state, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inputs", INPUTS)
def test_the_same_bits_in_any_batch_and_for_any_name_of_an_architecture(inputs: str) -> None:
    rng = np.random.default_rng(1)
    encoding = Encoding(SPACES["l"])
    matrix = encoding.sample(64, rng)
    width = INPUTS[inputs](SPACES["l"], matrix).shape[1]
    network = network_of("l", inputs, random_state(width, rng, width=128))
    batched = network(matrix)
    assert [network(row[None])[0] for row in matrix] == batched.tolist()
    order = rng.permutation(64)
    assert network(matrix[order]).tolist() == batched[order].tolist()
    assert network(np.repeat(matrix, 70, axis=0))[::70].tolist() == batched.tolist()
    other = equivalent(encoding, matrix, rng)
    assert (other != matrix).any()
    assert network(other).tolist() == batched.tolist()
    for form in (matrix.astype(np.int64), np.asfortranarray(matrix)):
        assert network(form).tolist() == batched.tolist()


def test_no_sum_depends_on_its_order() -> None:
    # Reversing inputs and units changes the order of every sum, and no bit of the result.
    rng = np.random.default_rng(2)
    state = random_state(80, rng, width=128)
    matrix = Encoding(SPACES["s"]).sample(200, rng)
    network = network_of("s", "one_hot", state)
    arrays = [tensor.numpy() for tensor in state.values()]
    weights, biases = arrays[::2], arrays[1::2]
    for k in range(4):
        order = rng.permutation(len(biases[k]))
        weights[k], biases[k] = weights[k][order], biases[k][order]
        weights[k + 1] = weights[k + 1][:, order]
    shuffled = PublishedNetwork(SPACES["s"], "one_hot", weights, biases)
    assert shuffled(matrix).tolist() == network(matrix).tolist()


def test_inputs_by_hand() -> None:
    matrix = np.zeros((1, 27), dtype=np.uint8)  # 10 layers, embed 192, no bias
    matrix[0, [1, 3, 4, 15 + 9, 15 + 10]] = 1, 2, 1, 2, 2  # embed 384; layer 10 does not exist
    zeros, nines = [0.0] * 8, [0.0] * 9
    body = [1.0, 0.5, *zeros]
    heads = [*nines, 1.0]
    expected = [1 / 3, 0.0, *body, -1.0, -1.0, *heads, -1.0, -1.0, 0.0]
    assert INPUTS["scaled"](SPACES["s"], matrix)[0].tolist() == pytest.approx(expected)
    expected = [1 / 3, 0.0, *body, 0.0, 0.0, *heads, 0.0, 0.0, 1.0]
    assert INPUTS["scaled_as_trained"](SPACES["s"], matrix)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w, b: w.pop(), "4 layers"),
        (lambda w, b: w.__setitem__(0, w[0][:, :-1]), "expected 80 inputs"),
        (lambda w, b: b.__setitem__(2, b[2][:-1]), "layer 3"),
        (lambda w, b: w.__setitem__(3, np.full_like(w[3], np.nan)), "not finite"),
        (lambda w, b: b.__setitem__(4, np.zeros(2)), "layer 5"),
    ],
)
def test_networks_that_do_not_fit_are_refused(change: Any, says: str) -> None:
    state = random_state(80, np.random.default_rng(0))
    arrays = [tensor.numpy() for tensor in state.values()]
    weights, biases = arrays[::2], arrays[1::2]
    change(weights, biases)
    with pytest.raises(DataError, match=says):
        PublishedNetwork(SPACES["s"], "one_hot", weights, biases)


# -- conversion and loading ------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Path]:
    """A checkout and the home that its networks were converted into."""
    root, home = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("home")
    source = write_source(root)
    convert_published(root, "s", home, progress=False)
    return source, home


def test_the_artifact_reports_its_errors_and_takes_the_input_that_fits(
    converted: tuple[Source, Path],
) -> None:
    manifest = json.loads((converted[1] / "hwgpt-s-published" / "manifest.json").read_text())
    assert manifest["kind"] == "network"
    report = manifest["report"]
    assert report["perplexity"]["offset"] == pytest.approx(0.06, abs=0.04)  # 0.2 % of about 30
    assert report["perplexity"]["kendall_tau"] > 0.9
    for target in HARDWARE:
        assert manifest["networks"][target]["inputs"] == "scaled_as_trained"
        both = report[target]["inputs"]
        assert both["scaled_as_trained"]["mae"] < both["scaled"]["mae"]
        assert report[target]["mae"] == both["scaled_as_trained"]["mae"]
    assert all(r["largest_relative_difference_from_torch"] < 1e-5 for r in report.values())
    assert all(entry["sha256"] for entry in manifest["source"]["files"].values())


@pytest.mark.parametrize("device", ["a100", "all"])
def test_load_answers_with_the_published_perplexity(
    device: str, converted: tuple[Source, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, home = converted
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    box = hwgpt_blackbox.load("s", device, perplexity="published-mlp")
    plain = hwgpt_blackbox.load("s", device)
    matrix = source.matrix
    column = box.objectives_names.index("metric_perplexity")
    values, before = box.expected_values(matrix), plain.expected_values(matrix)
    expected = predict(source.space, source.network, matrix)
    np.testing.assert_allclose(values[:, column], expected, rtol=1e-5)
    rest = np.arange(values.shape[1]) != column
    assert (values[:, rest] == before[:, rest]).all()  # draws and times are those of always
    one = [box(config, seed=3)[0] for config in box.encoding.decode(matrix[:5])]
    np.testing.assert_array_equal(one, box.measurements(matrix[:5], seed=3))
    assert (np.array(one)[:, column] == values[:5, column]).all()


def test_load_answers_with_the_published_memory(
    converted: tuple[Source, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, home = converted
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    box = hwgpt_blackbox.load("s", "a100", memory="published-mlp")
    names = [n for n in box.objectives_names if "memory" in n]
    chosen = [box.objectives_names.index(name) for name in names]
    networks = read_networks(home / "hwgpt-s-published", [n[len("metric_") :] for n in names])
    expected = np.stack([network(source.matrix) for network in networks.values()], axis=1)
    np.testing.assert_array_equal(box.expected_values(source.matrix)[:, chosen], expected)
    perplexity = box.objectives_names.index("metric_perplexity")
    plain = hwgpt_blackbox.load("s", "a100").expected_values(source.matrix)
    assert (box.expected_values(source.matrix)[:, perplexity] == plain[:, perplexity]).all()


def test_every_level_has_the_published_perplexity(
    converted: tuple[Source, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, home = converted
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    box = hwgpt_blackbox.load("s", "a100", perplexity="published-mlp", fidelity="repeats")
    assert isinstance(box, HWGPTBlackbox)
    values = box(box.encoding.decode(source.matrix[:1])[0], seed=0)
    assert len(set(values[:, 0])) == 1


def test_without_the_artifact_the_message_holds_the_command() -> None:
    with pytest.raises(MissingArtifactError) as error:
        hwgpt_blackbox.load("m", "a100", perplexity="published-mlp")
    assert "hwgpt-blackbox convert SOURCE --space m --only published" in str(error.value)


@pytest.mark.parametrize("option", ["perplexity", "memory", "models"])
def test_unknown_models(option: str) -> None:
    with pytest.raises(InputError, match=f"unknown {option} 'mlp'; known: default"):
        hwgpt_blackbox.load("s", "a100", **{option: "mlp"})


def test_no_pickle_is_in_the_artifact_and_a_changed_file_is_refused(
    converted: tuple[Source, Path], tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "hwgpt-s-published"
    shutil.copytree(converted[1] / "hwgpt-s-published", folder)
    with np.load(folder / "networks.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) == 50
        assert all(arrays[name].dtype == np.float32 for name in arrays.files)
    changed = bytearray((folder / "networks.npz").read_bytes())
    changed[-1] ^= 1
    (folder / "networks.npz").write_bytes(changed)
    with pytest.raises(DataError, match="size or sha256 differ"):
        read_networks(folder, ["perplexity"])


@pytest.mark.parametrize("changes", [{"networks": {}}, {"networks": None}, {"space": "xl"}])
def test_a_damaged_manifest_is_refused(
    changes: dict[str, Any], converted: tuple[Source, Path], tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "hwgpt-s-published"
    shutil.copytree(converted[1] / "hwgpt-s-published", folder)
    rewrite_manifest(folder, **changes)
    with pytest.raises(DataError, match="no sound artifact of published networks"):
        read_networks(folder, ["perplexity"])


def test_an_artifact_under_the_name_of_another_space_is_refused(
    converted: tuple[Source, Path], artifacts: Path
) -> None:
    import shutil

    shutil.copytree(converted[1] / "hwgpt-s-published", artifacts / "hwgpt-m-published")
    with pytest.raises(DataError, match="holds the space 's'"):
        hwgpt_blackbox.load("m", "a100", perplexity="published-mlp")


def test_the_command(tmp_path: Path, artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_source(tmp_path)
    command = ["convert", str(tmp_path), "--space", "s", "--only", "published", "--quiet"]
    assert main(command) == 0
    assert 'perplexity="published-mlp"' in capsys.readouterr().out
    assert (artifacts / "hwgpt-s-published" / "manifest.json").is_file()
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_its_report_card_and_what_verify_and_list_say(
    converted: tuple[Source, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, home = converted
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    card = read_card(home / "hwgpt-s-published")
    assert card is not None
    sections = card["sections"]
    assert [part["split"] for part in sections] == ["in sample", "random", "blocks"]
    for part in sections:
        assert part["fitted"] == 0
        assert set(part["targets"]) == set(NETWORK_TARGETS)
    network = read_networks(home / "hwgpt-s-published", ["perplexity"])["perplexity"]
    measured = np.array([entry["perplexity"] for entry in source.stats.values()])
    error = np.abs(network(source.matrix) - measured).mean()
    assert sections[0]["targets"]["perplexity"]["mae"] == pytest.approx(error, rel=1e-4)
    assert main(["list"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "other models" in x)
    assert "hwgpt-s-published" in line
    assert 'perplexity="published-mlp"' in line
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["other_models"][0]["name"] == "hwgpt-s-published"
    assert main(["list", "--report"]) == 0
    assert "hwgpt-s-published  random/42" in capsys.readouterr().out
    assert main(["verify", "hwgpt-s-published"]) == 0
    shown = capsys.readouterr().out
    assert "a sound network artifact of space s" in shown
    assert "not fitted here, may have seen them, judged on 20 held out" in shown
    source.write(tmp_path)
    words = ["verify", "hwgpt-s-published", "--against", str(tmp_path), "--json", "--quiet"]
    assert main([*words, "--split", "none"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["made_from_this_source"] is True
    assert answer["report"]["sections"] == sections[:1]
    out = tmp_path / "figures"
    assert main([*words, "--split", "random", "--out", str(out)]) == 0
    assert {path.stem for path in out.glob("*.svg")} == {
        "distribution-exact",
        "random-42-predicted-exact",
    }


def test_bad_checkpoints_leave_nothing(tmp_path: Path) -> None:
    write_source(tmp_path)
    path = tmp_path / CHECKPOINTS / FILES["params"].format(space="s")
    good, out = path.read_bytes(), tmp_path / "out"
    state = random_state(80, np.random.default_rng(0))
    for write, says in (
        (lambda: path.unlink(), "params_s.pth is missing"),
        (lambda: path.write_bytes(good[: len(good) // 2]), "cannot be read as weights only"),
        (lambda: torch.save(state, path), "no network of params of space s"),
    ):
        write()
        with pytest.raises(DataError, match=says):
            convert_published(tmp_path, "s", out, progress=False)
        assert not out.exists()
    path.write_bytes(good)
    assert checkpoint_path(tmp_path, "s").is_file()
    convert_published(tmp_path, "s", out, progress=False)
    with pytest.raises(OutputError, match="exists"):
        convert_published(tmp_path, "s", out, progress=False)


# -- the published data ----------------------------------------------------------------------

PUBLISHED_OFFSET = {"s": -0.0005, "m": 0.036, "l": 0.048}


@pytest.mark.parametrize("space", SPACES_HERE)
def test_the_published_checkpoints(space: str, source_data: Path) -> None:
    encoding = Encoding(SPACES[space])
    matrix = encoding.sample(1000, np.random.default_rng(3))
    for target, row in NETWORK_TARGETS.items():
        path = source_data / CHECKPOINTS / FILES[target].format(space=space)
        state = torch.load(path, weights_only=True, map_location="cpu")
        for inputs in row.inputs:
            network = network_of(space, inputs, state)
            expected = by_torch(state, INPUTS[inputs](SPACES[space], matrix))
            np.testing.assert_allclose(network.output(matrix), expected, rtol=1e-5)
            one = [network(row_[None])[0] for row_ in matrix[:20]]
            assert one == network(matrix)[:20].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES_HERE)
def test_the_published_report(space: str, source_data: Path, tmp_path: Path) -> None:
    folder = convert_published(source_data, space, tmp_path, progress=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    report = manifest["report"]
    assert report["perplexity"]["offset"] == pytest.approx(PUBLISHED_OFFSET[space], abs=0.002)
    assert report["perplexity"]["kendall_tau"] > 0.97
    for target in HARDWARE:
        assert manifest["networks"][target]["inputs"] == "scaled_as_trained"
        assert report[target]["mae"] < 0.01 * report[target]["mean"]
