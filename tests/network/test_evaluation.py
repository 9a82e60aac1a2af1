"""Evaluation: what is written is what the sub-network has, once for each architecture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import full_disk, own_space

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.network import build_model, load_model
from hwgpt_blackbox.network.text import TokenStream
from hwgpt_blackbox.storage.measurement_set import alone

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from hwgpt_blackbox.network.checkpoint import save_model, write_safetensors  # noqa: E402
from hwgpt_blackbox.network.evaluation import evaluate, quality, sample, windows  # noqa: E402
from hwgpt_blackbox.network.supernet import Supernet, corner  # noqa: E402

SPACE = own_space(vocabulary=256, sequence_length=8, num_layers=(1, 2), mlp_ratios=(1, 2))
TEXT = TokenStream([np.frombuffer(b"one two three four five six seven eight nine ten", np.uint8)])


@pytest.fixture
def supernet() -> Supernet:
    found = Supernet(SPACE)
    found.initialise(1)
    return found


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "quality.csv")


def test_the_values_are_those_of_the_extracted_network(supernet: Supernet, tmp_path: Path):
    configurations = sample(SPACE, 5, seed=0)
    evaluate(supernet, TEXT, configurations, tmp_path, batch=2)
    found = table(tmp_path)
    assert list(found) == [*SPACE.choices, "perplexity", "error"]
    assert Space.from_file(tmp_path / "space.toml") == SPACE
    assert len(TEXT) == 48
    tokens = windows(TEXT, 8)
    assert tokens.shape == (5, 9)  # 5 sequences and the token after each; 7 tokens are left
    assert (tokens[1:, 0] == tokens[:-1, -1]).all()
    for configuration, row in zip(configurations, found.to_dict("records"), strict=True):
        alone = supernet.extract(configuration)
        logits = alone(tokens[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(logits, targets)
        assert row["perplexity"] == pytest.approx(math.exp(loss.item()), rel=1e-6)
        wrong = (logits.argmax(1) != targets).float().mean().item()
        assert row["error"] == pytest.approx(wrong, rel=1e-6)
        assert {key: row[key] for key in SPACE.choices} == configuration


def test_evaluation_goes_on_row_by_row(supernet: Supernet, tmp_path: Path):
    configurations = sample(SPACE, 6, seed=0)
    evaluate(supernet, TEXT, configurations, tmp_path / "whole")
    evaluate(supernet, TEXT, configurations[:3], tmp_path / "killed")
    path = tmp_path / "killed" / "quality.csv"
    path.write_bytes(path.read_bytes()[:-9])  # half a row
    twice = [*configurations, *configurations]
    evaluate(supernet, TEXT, twice, tmp_path / "killed")
    assert path.read_bytes() == (tmp_path / "whole" / "quality.csv").read_bytes()


def test_inactive_layers_are_the_same_architecture(supernet: Supernet, tmp_path: Path):
    shallow = corner(SPACE, 0)
    evaluate(supernet, TEXT, [shallow, shallow | {"mlp_ratio_1": 2}], tmp_path)
    assert len(table(tmp_path)) == 1


def test_rows_of_other_conditions_are_not_mixed(supernet: Supernet, tmp_path: Path):
    evaluate(supernet, TEXT, sample(SPACE, 2, 0), tmp_path, batch=2)
    before = (tmp_path / "quality.csv").read_bytes()
    other = Supernet(SPACE)
    other.initialise(2)
    more = sample(SPACE, 4, 0)
    for net, text, options, name in (
        (other, TEXT, {"batch": 2}, "weights"),
        (supernet, TEXT.slice(1, 48), {"batch": 2}, "text"),
        (supernet, TEXT, {"batch": 3}, "batch_size"),
        (supernet, TEXT, {"batch": 2, "sequences": 3}, "text and sequences"),
    ):
        with pytest.raises(InputError, match=f"measured with other {name}"):
            evaluate(net, text, more, tmp_path, **options)
    wider = Supernet(own_space(vocabulary=256, sequence_length=8))
    with pytest.raises(InputError, match="another space"):
        evaluate(wider, TEXT, [corner(wider.space, 0)], tmp_path)
    assert (tmp_path / "quality.csv").read_bytes() == before
    (tmp_path / "quality.json").write_text("[]")
    with pytest.raises(DataError, match=r"quality\.json does not say"):
        evaluate(supernet, TEXT, more, tmp_path)
    (tmp_path / "quality.json").unlink()
    with pytest.raises(InputError, match=r"no quality\.json says how it was measured"):
        evaluate(supernet, TEXT, more, tmp_path)


def test_two_processes_do_not_write_the_same_table(supernet: Supernet, tmp_path: Path):
    with (
        alone(tmp_path, ".quality.lock", "evaluates"),
        pytest.raises(InputError, match="another process evaluates into"),
    ):
        evaluate(supernet, TEXT, sample(SPACE, 1, 0), tmp_path)


def test_text_shorter_than_a_sequence_is_an_error(supernet: Supernet, tmp_path: Path):
    with pytest.raises(DataError, match="the text has 8 tokens; a sequence and the token after"):
        evaluate(supernet, TEXT.slice(0, 8), sample(SPACE, 1, 0), tmp_path)


def test_weights_that_predict_nothing_are_an_error(supernet: Supernet, tmp_path: Path):
    with torch.no_grad():
        supernet.largest.norm.weight.fill_(float("nan"))
    with pytest.raises(DataError, match="the loss is nan"):
        evaluate(supernet, TEXT, sample(SPACE, 1, 0), tmp_path)


def test_sequences_are_spread_over_the_text():
    stream = TokenStream([np.arange(101)])
    assert windows(stream, 10, 3)[:, 0].tolist() == [0, 40, 90]
    assert len(windows(stream, 10, 50)) == 10


def test_a_sample_is_uniform_and_distinct_and_begins_with_a_smaller_one():
    found = sample(SPACE, 300, seed=4)
    encoding = Encoding(SPACE)
    assert len({encoding.encode_one(c).__repr__() for c in found}) == 300
    assert sample(SPACE, 100, seed=4) == found[:100]
    assert sample(SPACE, 100, seed=5) != found[:100]
    tiny = own_space(embed_dims=(8, 16), num_layers=(1, 2), mlp_ratios=(1, 2), num_heads=(1, 2))
    assert len(sample(tiny, 10**6, 0)) == tiny.num_architectures == 80


@pytest.fixture
def checkpoint(supernet: Supernet, tmp_path: Path) -> list[str]:
    """A checkpoint, and how it is named on the command line."""
    write_safetensors(tmp_path / "net.safetensors", supernet.largest.state_dict())
    (tmp_path / "file.toml").write_text(SPACE.as_toml())
    (tmp_path / "text.txt").write_bytes(bytes(TEXT.read(0, 48).astype(np.uint8)))
    return [str(tmp_path / "net.safetensors"), "--space", str(tmp_path / "file.toml")]


def test_commands_evaluate_and_extract_and_weights_give_the_evaluated_loss(
    checkpoint: list[str], tmp_path: Path, capsys
):
    text = str(tmp_path / "text.txt")
    words = ["supernet", "evaluate", *checkpoint, "--text", text, "--out", str(tmp_path / "set")]
    assert main([*words, "--architectures", "3", "--quiet"]) == 0
    assert "next: hwgpt-blackbox convert" in capsys.readouterr().out
    out = tmp_path / "model.safetensors"
    quality_file = str(tmp_path / "set" / "quality.csv")
    words = ["supernet", "extract", *checkpoint, "--config", quality_file, "--row", "1"]
    assert main([*words, "--out", str(out)]) == 0
    row = table(tmp_path / "set").iloc[1]
    model = load_model(out)
    loss, wrong = quality(model, windows(TEXT, 8), batch=2)
    assert math.exp(loss) == pytest.approx(row["perplexity"], rel=1e-6)
    assert wrong == row["error"]
    built = build_model(json.loads(out.with_suffix(".json").read_text()))
    built.load_state_dict(model.state_dict())
    assert built.config.num_layers == row["num_layers"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "--text", "{text}", "--out", "x", "--architectures", "0"], "is 0; expected"),
        (["evaluate", "--text", "{text}", "--out", "x", "--architectures", "1", "--on", "cuda:9"],
         "--on cuda:9 cannot be used"),
        (["evaluate", "--text", "{text}", "--out", "x", "--architectures", "1", "--seed", "-1"],
         "seed is -1; expected an integer"),
        (["extract", "--config", "{config}", "--out", "model.pt"], "ends in .safetensors"),
        (["extract", "--config", "{config}", "--out", "{same}"],
         "would write its network over .*one.json; choose another name"),
        (["extract", "--config", "{config}", "--row", "7", "--out", "m.safetensors"],
         "--row is 7; .* holds 1 architectures"),
        (["extract", "--config", "{config}", "--max", "params=1", "--out", "m.safetensors"],
         "--max goes with --best"),
    ],
)  # fmt: skip
def test_bad_words_are_errors(
    checkpoint: list[str], tmp_path: Path, words: list[str], message: str, capsys
):
    import re

    (tmp_path / "one.json").write_text(json.dumps(corner(SPACE, 0)))
    named = {"text": tmp_path / "text.txt", "config": tmp_path / "one.json"}
    named["same"] = tmp_path / "one.safetensors"
    action, *rest = (word.format(**named) for word in words)
    assert main(["supernet", action, *checkpoint, *rest]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_checkpoint_needs_its_space_and_a_folder_a_training(
    checkpoint: list[str], tmp_path, capsys
):
    words = ["--config", "x.json", "--out", "m.safetensors"]
    assert main(["supernet", "extract", checkpoint[0], *words]) == 2
    assert "does not say its space" in capsys.readouterr().err
    assert main(["supernet", "extract", str(tmp_path / "absent"), *words]) == 2
    assert "absent does not exist" in capsys.readouterr().err
    (tmp_path / "space.toml").write_text(SPACE.as_toml())
    assert main(["supernet", "extract", str(tmp_path), *words]) == 2
    assert "holds no trained supernet" in capsys.readouterr().err


def test_the_best_architecture_is_extracted(checkpoint: list[str], tmp_path: Path, capsys):
    out = tmp_path / "model.safetensors"
    words = ["supernet", "extract", *checkpoint, "--best", "params", "--out", str(out)]
    assert main(words) == 0
    assert "params" in capsys.readouterr().out
    assert load_model(out).config.embed_dim == SPACE.embed_dims[0]


def test_a_full_disk_keeps_the_model_before(supernet: Supernet, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    save_model(supernet.extract(corner(SPACE, 0)), path)
    with full_disk(5_000), pytest.raises(OutputError, match="make room"):
        save_model(supernet.extract(corner(SPACE, -1)), path)
    assert load_model(path).config.embed_dim == SPACE.embed_dims[0]


def test_models_whose_files_do_not_fit_are_errors(supernet: Supernet, tmp_path: Path):
    path = tmp_path / "m.safetensors"
    save_model(supernet.extract(corner(SPACE, 0)), path)
    about = path.with_suffix(".json")
    other = supernet.extract(corner(SPACE, -1)).config.as_dict()
    for content, message in (
        (json.dumps(other), "holds other weights than the network"),
        ("[]", "is no model configuration"),
        ('{"x": 1}', "is no model configuration"),
    ):
        about.write_text(content)
        with pytest.raises(DataError, match=message):
            load_model(path)
    about.unlink()
    with pytest.raises(InputError, match=r"m\.json cannot be read"):
        load_model(path)
    with pytest.raises(InputError, match=r"does not end in \.safetensors"):
        save_model(supernet.extract(corner(SPACE, 0)), tmp_path / "m.pt")
