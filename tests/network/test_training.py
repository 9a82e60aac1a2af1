"""Training: resumed exactly, on several processes as on one; what does not fit is an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import full_disk, own_space

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.network import load_supernet
from hwgpt_blackbox.network.text import TokenStream

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
from hwgpt_blackbox.network.evaluation import quality, windows  # noqa: E402  (needs torch)
from hwgpt_blackbox.network.supernet import Supernet, corner  # noqa: E402
from hwgpt_blackbox.network.training import (  # noqa: E402
    Settings,
    learning_rate,
    loss_of,
    train,
)

SPACE = own_space(
    embed_dims=(16, 24), num_layers=(1, 2), mlp_ratios=(1, 2), num_heads=(1, 2), vocabulary=256,
    sequence_length=16, network="gelu-tied",
)  # fmt: skip
SETTINGS = Settings(steps=6, batch=4, learning_rate=3e-3, every=2, seed=3)
TEXT = "".join(f"{n} bottles of beer on the wall, take one down. " for n in range(99)).encode()


def stream() -> TokenStream:
    return TokenStream([np.frombuffer(TEXT, dtype=np.uint8)])


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([p.flatten() for p in load_supernet(folder).parameters()])


class Interrupted(TokenStream):
    """Text that cannot be read any more after some batches."""

    left = 0

    def batch(self, starts, length):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().batch(starts, length)

    def slice(self, start, stop):
        part = super().slice(start, stop)
        if start == 0:  # what is trained on
            part = Interrupted(part.parts)
            part.left = self.left
        return part


def test_a_resumed_training_ends_as_one_that_was_not_interrupted(tmp_path: Path):
    train(SPACE, stream(), tmp_path / "whole", SETTINGS)
    text = Interrupted(stream().parts)
    text.left = 5
    with pytest.raises(KeyboardInterrupt):
        train(SPACE, text, tmp_path / "resumed", SETTINGS)
    state = json.loads((tmp_path / "resumed" / "state.json").read_text())
    assert state["step"] == 4
    with (tmp_path / "resumed" / "losses.csv").open("a") as file:
        file.write("6,1,1,1,1,1,1,1,1\n7,1,")  # killed before the state of these rows was written
    train(SPACE, stream(), tmp_path / "resumed", SETTINGS)
    assert torch.equal(weights(tmp_path / "whole"), weights(tmp_path / "resumed"))
    tables = [
        pd.read_csv(tmp_path / name / "losses.csv").drop(columns="seconds")
        for name in ("whole", "resumed")
    ]
    pd.testing.assert_frame_equal(*tables)
    assert tables[0]["step"].tolist() == [2, 4, 6]
    names = sorted(p.name for p in (tmp_path / "whole").iterdir() if not p.name.startswith("."))
    assert names == [
        "losses.csv",
        "optimizer-6.safetensors",
        "space.toml",
        "state.json",
        "supernet-6.safetensors",
        "validation.npy",
    ]
    assert train(SPACE, stream(), tmp_path / "resumed", SETTINGS)["step"] == 6  # nothing is left


def test_all_architectures_learn_and_the_tail_is_not_trained_on(tmp_path: Path):
    settings = replace(SETTINGS, steps=60, every=30, learning_rate=1e-2)
    losses = train(SPACE, stream(), tmp_path / "net", settings)
    held_out = np.load(tmp_path / "net" / "validation.npy")
    assert bytes(held_out.astype(np.uint8)) == TEXT[-len(held_out) :]
    assert len(held_out) == len(TEXT) // 10
    before = Supernet(SPACE)
    before.initialise(3)
    tokens = windows(TokenStream([held_out]), 16, 64)
    for name, index in (("largest", -1), ("smallest", 0)):
        loss, _ = quality(before, tokens, corner(SPACE, index), batch=4)
        assert losses[name] < loss - 1
    seen = set()

    class Watched(TokenStream):
        def batch(self, starts, length):
            seen.update(int(s) + i for s in starts for i in range(length))
            return super().batch(starts, length)

        def slice(self, start, stop):
            return Watched(super().slice(start, stop).parts)

    text = Watched(stream().parts)
    train(SPACE, text, tmp_path / "watched", replace(SETTINGS, steps=2))
    assert max(seen) < len(TEXT) - len(held_out)


def test_distillation_follows_the_largest():
    logits = torch.randn(2, 5, 7)
    teacher, targets = torch.randn(2, 5, 7), torch.randint(7, (2, 5))
    plain = loss_of(logits, targets, None, 0.5)
    assert loss_of(logits, targets, teacher, 0.0) == plain
    soft = teacher.softmax(-1)
    expected = -(soft * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(loss_of(logits, targets, teacher, 1.0), expected)
    torch.testing.assert_close(loss_of(logits, targets, teacher, 0.5), (plain + expected) / 2)


def test_distillation_changes_the_others_alone(tmp_path: Path):
    """Without others, there is nobody to teach."""
    for name, settings in {
        "off": SETTINGS,
        "on": replace(SETTINGS, distillation=0.5),
    }.items():
        train(SPACE, stream(), tmp_path / name, settings)
        train(
            SPACE, stream(), tmp_path / f"{name}-alone", replace(settings, alone=corner(SPACE, -1))
        )
    assert not torch.equal(weights(tmp_path / "off"), weights(tmp_path / "on"))
    assert torch.equal(weights(tmp_path / "off-alone"), weights(tmp_path / "on-alone"))


def test_an_architecture_alone_leaves_the_weights_of_others(tmp_path: Path):
    smallest = corner(SPACE, 0)
    train(SPACE, stream(), tmp_path / "alone", replace(SETTINGS, alone=smallest))
    before = Supernet(SPACE)
    before.initialise(SETTINGS.seed)
    trained = load_supernet(tmp_path / "alone")
    for a, b in zip(
        before.largest.layers[1].parameters(), trained.largest.layers[1].parameters(), strict=True
    ):
        assert torch.equal(a, b)
    table = "embedding.weight"
    old, new = before.largest.get_parameter(table), trained.largest.get_parameter(table)
    assert not torch.equal(old[:, :16], new[:, :16])


def test_the_learning_rate_rises_and_falls():
    settings = Settings(steps=100, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
    assert np.argmax(rates) == 9
    assert (np.diff(rates[10:]) < 0).all()


def arguments(folder: Path, text: Path, *more: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    space = folder / "space-file.toml"
    space.write_text(SPACE.as_toml())
    words = f"supernet train --space {space} --text {text} --out {folder / 'net'} --batch 4"
    return [*words.split(), "--on", "cpu", "--quiet", *more]


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT)
    return path


def test_two_processes_train_as_one_with_the_same_batch(tmp_path: Path, text_file: Path):
    assert main(arguments(tmp_path / "one", text_file, "--steps", "4")) == 0
    words = arguments(tmp_path / "two", text_file, "--steps", "4", "--devices", "2")
    done = subprocess.run(
        [sys.executable, "-m", "hwgpt_blackbox", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("supernet in") == 1  # the second process says nothing
    one, two = (weights(tmp_path / name / "net") for name in ("one", "two"))
    torch.testing.assert_close(one, two, atol=1e-4, rtol=0)  # weights moved by up to 4e-3


def test_a_killed_command_goes_on(tmp_path: Path, text_file: Path):
    words = arguments(tmp_path, text_file, "--steps", "2000", "--every", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgpt_blackbox", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    losses = tmp_path / "net" / "losses.csv"
    try:
        for _ in range(3000):
            if losses.exists() and losses.read_bytes().count(b"\n") > 4:
                break
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    step = json.loads((tmp_path / "net" / "state.json").read_text())["step"]
    assert step >= 3
    assert len(weights(tmp_path / "net"))  # the state names weights that are whole
    with pytest.raises(InputError, match="holds a training with steps 2000, not 50"):
        train(SPACE, stream(), tmp_path / "net", Settings(steps=50, batch=4, every=1))


@pytest.mark.parametrize(
    ("space", "text", "settings", "message"),
    [
        (SPACE, stream(), replace(SETTINGS, seed=4), "with seed 3, not 4"),
        (SPACE, stream(), replace(SETTINGS, batch=2), "with batch 4, not 2"),
        (SPACE, TokenStream([stream().read(1, 1000)]), SETTINGS, r"with text \(SHA-256\)"),
        (replace(SPACE, num_heads=(1, 4)), stream(), SETTINGS, r"num_heads of the space \[1, 2\]"),
    ],
)
def test_another_training_does_not_go_on_in_the_folder(
    tmp_path: Path, space, text, settings, message
):
    train(SPACE, stream(), tmp_path / "net", SETTINGS)
    before = weights(tmp_path / "net")
    with pytest.raises(InputError, match=message):
        train(space, text, tmp_path / "net", settings)
    with pytest.raises(InputError, match="with precision '32-true', not 'bf16-mixed'"):
        train(SPACE, stream(), tmp_path / "net", SETTINGS, precision="bf16-mixed")
    assert torch.equal(before, weights(tmp_path / "net"))


def test_a_full_disk_ends_training_and_keeps_the_state_before(tmp_path: Path):
    wanted = r"could not be written \(.*; make room"
    with full_disk(20_000), pytest.raises(OutputError, match=wanted):
        train(SPACE, stream(), tmp_path, SETTINGS, accelerator="cpu")
    assert not (tmp_path / "state.json").exists() and not list(tmp_path.glob("*.safetensors"))


def test_a_folder_of_another_space_keeps_its_space(tmp_path: Path):
    other = replace(SPACE, num_heads=(1, 4))
    (tmp_path / "space.toml").write_text(other.as_toml() + "# mine\n")
    with pytest.raises(InputError, match="is of another space"):
        train(SPACE, stream(), tmp_path, SETTINGS)
    assert (tmp_path / "space.toml").read_text().endswith("# mine\n")


def test_a_folder_is_loaded_as_the_space_it_was_trained_for(tmp_path: Path):
    train(SPACE, stream(), tmp_path, SETTINGS)
    assert load_supernet(tmp_path, SPACE).space == SPACE
    same_shapes = replace(SPACE, head_size=SPACE.head_size // 2, num_heads=(1, 4))
    with pytest.raises(InputError, match="was trained for space mine, and the one that is given"):
        load_supernet(tmp_path, same_shapes)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"step": 6, "weights": "../x", "optimizer": "y", "space": {}, "settings": {}}',
    ],
)
def test_a_broken_state_is_an_error(tmp_path: Path, content: str):
    (tmp_path / "state.json").write_text(content)
    (tmp_path / "space.toml").write_text(SPACE.as_toml())
    with pytest.raises(DataError, match=r"state.json is no"):
        train(SPACE, stream(), tmp_path, SETTINGS)
    with pytest.raises(DataError, match=r"state.json is no"):
        load_supernet(tmp_path)


def test_weights_or_moments_of_another_supernet_are_an_error(tmp_path: Path):
    from safetensors.torch import save_file

    train(SPACE, stream(), tmp_path, SETTINGS)
    save_file({"embedding.weight:exp_avg": torch.zeros(3)}, tmp_path / "optimizer-6.safetensors")
    with pytest.raises(DataError, match="is not the optimizer's state of this supernet"):
        train(SPACE, stream(), tmp_path, SETTINGS)
    save_file({"embedding.weight": torch.zeros(3)}, tmp_path / "supernet-6.safetensors")
    with pytest.raises(DataError, match=r"embedding.weight has shape \(3,\)"):
        load_supernet(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0; expected an integer, 1 or more"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"random": -1}, "random is -1"),
        ({"distillation": 1.5}, "distillation is 1.5; expected a number from 0 to 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ],
)
def test_a_setting_out_of_its_range_is_an_error(settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        Settings(**settings)


def test_what_does_not_fit_the_machine_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="batch of 4 sequences cannot be shared by 3 devices"):
        train(SPACE, stream(), tmp_path / "a", SETTINGS, accelerator="cpu", devices=3)
    with pytest.raises(InputError, match="precision is '8-bit'"):
        train(SPACE, stream(), tmp_path / "a", SETTINGS, precision="8-bit")
    with pytest.raises(InputError, match="devices of kind 'tpux' cannot be used"):
        train(SPACE, stream(), tmp_path / "a", SETTINGS, accelerator="tpux")
    with pytest.raises(InputError, match="-1 devices of kind 'cpu' cannot be used"):
        train(SPACE, stream(), tmp_path / "a", SETTINGS, accelerator="cpu", devices=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        train(SPACE, stream(), tmp_path / "file" / "net", SETTINGS, accelerator="cpu")


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path):
    settings = replace(SETTINGS, learning_rate=1e30)
    with pytest.raises(InputError, match=r"train anew with a lower --lr than 1e\+30"):
        train(SPACE, stream(), tmp_path / "net", settings)
    assert not (tmp_path / "net" / "state.json").exists()


def test_half_precision_trains(tmp_path: Path):
    losses = train(SPACE, stream(), tmp_path / "net", SETTINGS, precision="bf16-mixed")
    assert losses is not None
    assert load_supernet(tmp_path / "net").largest.embedding.weight.dtype == torch.float32


def test_a_text_in_the_folder_is_not_replaced_by_its_tail(tmp_path: Path, text_file: Path, capsys):
    assert main(arguments(tmp_path, text_file, "--steps", "3")) == 0
    held_out = tmp_path / "net" / "validation.npy"
    before = held_out.read_bytes()
    assert main(arguments(tmp_path, held_out, "--steps", "3")) == 2
    assert "would replace it; choose another folder" in capsys.readouterr().err
    assert held_out.read_bytes() == before


def test_an_architecture_alone_is_not_evaluated_as_a_supernet(tmp_path: Path, capsys):
    settings = replace(SETTINGS, alone=corner(SPACE, 0))
    train(SPACE, stream(), tmp_path / "net", settings, accelerator="cpu")
    words = [str(tmp_path / "net"), "--text", str(tmp_path / "net" / "validation.npy")]
    words += ["--architectures", "2", "--out", str(tmp_path / "set")]
    assert main(["supernet", "evaluate", *words]) == 2
    assert "trained alone, no supernet" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_the_command_draws_the_losses_and_says_what_comes_next(
    tmp_path: Path, text_file: Path, capsys
):
    pytest.importorskip("matplotlib")
    assert main(arguments(tmp_path, text_file, "--steps", "3")) == 0
    out = capsys.readouterr().out
    assert "next: hwgpt-blackbox supernet evaluate" in out
    assert "largest" in out
    assert (tmp_path / "net" / "losses.svg").read_text().count("<svg") == 1
