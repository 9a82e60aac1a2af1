"""The torch module of an architecture: parameters equal the formula, and it is a causal decoder."""

from __future__ import annotations

import numpy as np
import pytest

import hwgpt_blackbox
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import ModelConfig, model_config
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.network.build import build_model

torch = pytest.importorskip("torch")

TINY = ModelConfig(
    embed_dim=24,
    bias=True,
    mlp_ratios=(2, 3),
    num_heads=(3, 1),
    head_size=16,
    vocabulary=50,
    sequence_length=12,
)


@pytest.mark.parametrize("space", SPACES)
def test_counted_parameters_equal_the_formula(space: str):
    encoding = Encoding(SPACES[space])
    matrix = encoding.sample(6, np.random.default_rng(1))
    matrix[:6, 2] = [0, 1, 0, 1, 0, 1]  # with and without bias
    matrix[:6, 1] = [0, 0, 1, 1, 2, 2]  # at every width
    for row, params in zip(matrix, count(encoding, matrix, "params"), strict=True):
        model = build_model(model_config(space, encoding.decode_one(row)), device="meta")
        assert sum(p.numel() for p in model.parameters()) == model.num_parameters == params


def test_every_form_of_an_architecture_is_built():
    api = hwgpt_blackbox.HWGPT("s", seed=0)
    sample = api.sample_arch()
    configuration = api._encoding.decode_one(api._matrix[0])
    architecture = hwgpt_blackbox.architecture_of("s", configuration)
    config = model_config("s", configuration)
    for form in (
        sample,
        configuration,
        architecture,
        config,
        config.as_dict(),
        {"architecture": architecture, "configuration": configuration},
    ):
        model = build_model(form, device="meta")
        assert model.num_parameters == api.get_params()
        assert model.config == config
    assert build_model(TINY.as_dict(), device="meta").config == TINY  # of no space


@pytest.mark.parametrize("space", ["s", "l"])
def test_counted_multiplications_equal_the_formula(space: str):
    from torch.utils.flop_counter import FlopCounterMode

    encoding = Encoding(SPACES[space])
    matrix = encoding.sample(1, np.random.default_rng(2))
    model = build_model(model_config(space, encoding.decode_one(matrix[0])), device="meta")
    tokens = torch.zeros(SPACES[space].batch_size, 1024, dtype=torch.long, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(tokens)
    counts = counter.get_flop_counts()["Global"]
    outside_attention = sum(v for op, v in counts.items() if op.__name__ in ("mm", "addmm"))
    assert outside_attention == 2 * count(encoding, matrix, "macs")[0]


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_logits_have_their_shape_on_a_device_without_memory(space: str):
    encoding = Encoding(SPACES[space])
    largest = np.full(encoding.num_columns, 2, dtype=np.uint8)
    largest[2] = 1
    model = build_model(model_config(space, encoding.decode_one(largest)), device="meta")
    assert all(p.device.type == "meta" for p in model.parameters())
    tokens = torch.zeros(2, 1024, dtype=torch.long, device="meta")
    assert tuple(model(tokens).shape) == (2, 1024, 50254)


def test_a_model_of_the_space_runs():
    encoding = Encoding(SPACES["s"])
    smallest = encoding.decode_one(np.zeros(encoding.num_columns, dtype=np.uint8))
    model = build_model(model_config("s", smallest))
    with torch.no_grad():
        logits = model(torch.tensor([[1, 50253, 7]]))
    assert tuple(logits.shape) == (1, 3, 50254)
    assert torch.isfinite(logits).all()


def test_a_position_sees_what_comes_before_and_its_distance_and_nothing_after():
    model = build_model(TINY)
    tokens = torch.randint(50, (3, 10))
    with torch.no_grad():
        logits = model(tokens)
        changed = tokens.clone()
        changed[:, 7] = (changed[:, 7] + 1) % 50
        after = model(changed)
        torch.testing.assert_close(after[:, :7], logits[:, :7])
        assert ((after[:, 7:] - logits[:, 7:]).abs().amax(dim=2) > 0).all()
        swapped = tokens[:, [1, 0, *range(2, 10)]]
        distinct = tokens[:, 0] != tokens[:, 1]
        assert distinct.any()
        moved = (model(swapped)[:, 9] - logits[:, 9]).abs().amax(dim=1)
        assert (moved[distinct] > 1e-6).all()  # without positions, order would not matter


def test_positions_are_relative():
    config = ModelConfig(**{**TINY.as_dict(), "mlp_ratios": (2,), "num_heads": (2,)})
    model = build_model(config)
    attention = model.layers[0].attention
    x = torch.randn(1, 6, 24)
    from hwgpt_blackbox.network.gpt import _turn, rotation

    parts = attention.inputs(x).view(1, 6, 2, 3, -1).permute(3, 0, 2, 1, 4)
    cosine, sine = rotation(config, 12, x)
    scores = []
    for start in (0, 5):
        angles = cosine[start : start + 6], sine[start : start + 6]
        query, key = (_turn(part, *angles) for part in parts[:2])
        scores.append(query @ key.transpose(-1, -2))
        rest = query[..., int(16 * config.rotary_share) :]
        assert torch.equal(rest, parts[0][..., int(16 * config.rotary_share) :])
    torch.testing.assert_close(scores[0], scores[1])
    plain = parts[0] @ parts[1].transpose(-1, -2)
    assert not torch.allclose(plain, scores[0])


def test_every_parameter_learns():
    model = build_model(TINY)
    tokens = torch.randint(50, (2, 9))
    logits = model(tokens[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []
    assert loss.item() == pytest.approx(np.log(50), abs=1.0)


def test_bias_is_that_of_linear_layers_alone():
    without = build_model(ModelConfig(**{**TINY.as_dict(), "bias": False}))
    names = {name for name, _ in without.named_parameters() if name.endswith("bias")}
    assert names == {
        "norm.bias",
        *(f"layers.{i}.{part}_norm.bias" for i in (0, 1) for part in ("attention", "mlp")),
    }
    assert not any(name == "output.bias" for name, _ in build_model(TINY).named_parameters())


def test_bad_input_is_an_error_that_names_value_and_cure():
    model = build_model(TINY)
    for shape in ((3,), (1, 0), (1, 13)):
        with pytest.raises(
            InputError, match=r"expected .batch, length. with a length from 1 to 12"
        ):
            model(torch.zeros(shape, dtype=torch.long))
