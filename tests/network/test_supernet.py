"""The supernet runs every architecture of a space as the sub-network with its weights does."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import own_space
from hypothesis import given
from hypothesis import strategies as st

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import architecture_of, model_config
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import NETWORKS, Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.network import build_model, load_supernet

torch = pytest.importorskip("torch")
from hwgpt_blackbox.network.supernet import Supernet, corner  # noqa: E402  (needs torch)

SPACES = (
    own_space(vocabulary=50, sequence_length=12),
    own_space(vocabulary=50, sequence_length=12, network="gelu-tied"),
    own_space(embed_dims=(8, 20), num_layers=(1, 2, 3), head_size=6, vocabulary=30),
)


@functools.cache
def supernet_of(space: Space) -> Supernet:
    supernet = Supernet(space)
    supernet.initialise(1)
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():  # biases and normalisations too, so that a wrong slice shows
        for parameter in supernet.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return supernet


def reference_space() -> Space:
    return Space(
        name="reference",
        embed_dims=(16, 32, 48),
        num_layers=(2, 3, 4),
        mlp_ratios=(1, 2, 4),
        num_heads=(2, 4, 6),
        batch_size=2,
        sequence_length=32,
        vocabulary=101,
        head_size=8,
        network="gelu-tied",
    )


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_the_published_layout_gives_the_published_logits(
    reference: Path, tmp_path: Path, prefix: str
):
    checkpoint = reference / "supernet.ckpt"
    if not prefix:
        weights = torch.load(checkpoint, weights_only=True)["state_dict"]
        checkpoint = tmp_path / "plain.ckpt"
        torch.save({k.removeprefix("model."): v for k, v in weights.items()}, checkpoint)
    supernet = load_supernet(checkpoint, reference_space())
    arrays = np.load(reference / "cases.npz")
    tokens = torch.from_numpy(arrays["tokens"]).long()
    cases = json.loads((reference / "cases.json").read_text())["cases"]
    assert len(cases) == 12
    for i, case in enumerate(cases):
        expected = case.pop("loss")
        for logits in (supernet(tokens, case), supernet.extract(case)(tokens)):
            difference = np.abs(logits.detach().numpy() - arrays[f"logits_{i}"]).max()
            assert difference < 1e-4
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
            )
            assert abs(loss.item() - expected) < 1e-5


@given(space=st.sampled_from(SPACES), seed=st.integers(0, 10**9))
def test_a_slice_is_the_sub_network_of_its_own(space: Space, seed: int):
    encoding, supernet = Encoding(space), supernet_of(space)
    rows = encoding.sample(3, np.random.default_rng(seed))
    tokens = torch.randint(space.vocabulary, (2, 7), generator=torch.Generator().manual_seed(seed))
    for row, parameters in zip(rows, count(encoding, rows, "params"), strict=True):
        configuration = encoding.decode_one(row)
        with torch.no_grad():
            alone = supernet.extract(configuration)
            torch.testing.assert_close(
                supernet(tokens, configuration), alone(tokens), atol=1e-5, rtol=0
            )
        assert alone.num_parameters == parameters
        assert alone.config == model_config(space, configuration)


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_reach_the_leading_weights_and_no_others(network: str):
    space = own_space(vocabulary=50, network=network)
    supernet, smallest = Supernet(space), corner(space, 0)
    supernet.initialise(3)
    tokens = torch.randint(50, (2, 6))
    supernet(tokens, smallest).square().sum().backward()
    alone = supernet.extract(smallest)
    alone(tokens).square().sum().backward()
    for name, parameter in supernet.largest.named_parameters():
        if parameter.grad is None:
            assert name not in dict(alone.named_parameters())
            continue
        expected = torch.zeros_like(parameter)
        plain = alone.get_parameter(name)
        expected[tuple(map(slice, plain.shape))] = plain.grad
        torch.testing.assert_close(parameter.grad, expected)


def test_an_extracted_network_has_weights_of_its_own():
    space = SPACES[0]
    supernet = supernet_of(space)
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    alone = supernet.extract(corner(space, -1))
    with torch.no_grad():
        for parameter in alone.parameters():
            assert parameter.requires_grad
            parameter.add_(1)
    for name, parameter in supernet.named_parameters():
        assert torch.equal(parameter, before[name])
    rebuilt = build_model(alone.config.as_dict())
    rebuilt.load_state_dict(alone.state_dict())
    tokens = torch.randint(50, (1, 5))
    assert torch.equal(rebuilt(tokens), alone(tokens))


def test_layers_that_do_not_exist_change_nothing_and_every_form_is_read():
    space = SPACES[1]
    supernet, shallow = supernet_of(space), corner(space, -1) | {"num_layers": 2}
    other = shallow | {"mlp_ratio_3": 1, "num_heads_2": 2}
    tokens = torch.randint(50, (2, 6))
    forms: list[Any] = [other, architecture_of(space, shallow), model_config(space, shallow)]
    for form in forms:
        assert torch.equal(supernet(tokens, form), supernet(tokens, shallow))


def test_initial_weights_are_those_of_the_seed():
    space = SPACES[1]
    nets = [Supernet(space) for _ in range(3)]
    for net, seed in zip(nets, (5, 5, 6), strict=True):
        net.initialise(seed)
    first, same, other = (torch.cat([p.flatten() for p in net.parameters()]) for net in nets)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    logits = nets[0](torch.randint(50, (4, 12)), corner(space, -1))
    assert logits.std() < 1.5  # near uniform, with a tied output layer too


def test_an_architecture_of_another_space_is_an_error():
    supernet = supernet_of(SPACES[0])
    tokens = torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(InputError, match="embed_dim is 48"):
        supernet(tokens, corner(SPACES[0], 0) | {"embed_dim": 48})
    with pytest.raises(InputError, match="length from 1 to 12"):
        supernet(torch.zeros(1, 13, dtype=torch.long), corner(SPACES[0], 0))
