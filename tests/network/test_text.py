"""Text as tokens, in every form; what is no text is an error that names the file."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.network.text import TokenStream, read_text, split


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=40, special_tokens=["?"])
    made.train_from_iterator(["low lower lowest new newer newest"] * 3, trainer)
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def read(*paths: Path, vocabulary: int = 256, **options) -> list[int]:
    stream = read_text(paths, vocabulary=vocabulary, **options)
    return stream.read(0, len(stream)).tolist()


def test_text_is_its_bytes(tmp_path: Path):
    (tmp_path / "a.txt").write_text("größe\r\n", encoding="utf-8", newline="")
    assert read(tmp_path / "a.txt") == list("größe\r\n".encode())


def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path: Path, caplog):
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    (folder / "b").write_text("two")
    (folder / "a").write_text("one")
    (folder / "more" / "c").write_text("three")
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    with caplog.at_level(logging.WARNING):
        assert bytes(read(folder)) == b"onetwothree"
    assert "image.png" in caplog.text


def test_a_tokenizer_makes_the_tokens(tmp_path: Path, tokenizer: Path):
    (tmp_path / "a.txt").write_text("low newest lower")
    tokens = read(tmp_path / "a.txt", vocabulary=40, tokenizer=tokenizer)
    from tokenizers import Tokenizer

    assert tokens == Tokenizer.from_file(str(tokenizer)).encode("low newest lower").ids
    with pytest.raises(InputError, match=r"vocabulary of the space is 10; .* need \d+"):
        read(tmp_path / "a.txt", vocabulary=10, tokenizer=tokenizer)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"other.json is no tokenizer.json"):
        read(tmp_path / "a.txt", tokenizer=tmp_path / "other.json")
    with pytest.raises(InputError, match=r"absent.json cannot be read"):
        read(tmp_path / "a.txt", tokenizer=tmp_path / "absent.json")


def test_files_of_tokens_are_mapped_into_memory_and_joined(tmp_path: Path):
    first, second = np.arange(5, dtype=np.int32), np.arange(5, 9, dtype="<u2")
    np.save(tmp_path / "a.npy", first)
    second.tofile(tmp_path / "b.bin")
    stream = read_text([tmp_path / "a.npy", tmp_path / "b.bin"], vocabulary=9)
    assert all(isinstance(part, np.memmap) for part in stream.parts)
    assert len(stream) == 9
    assert stream.read(3, 7).tolist() == [3, 4, 5, 6]
    assert stream.batch([0, 4], 3).tolist() == [[0, 1, 2], [4, 5, 6]]
    assert stream.slice(4, 8).read(1, 4).tolist() == [5, 6, 7]
    same = TokenStream([first.copy(), second.copy()])
    assert stream.digest() == same.digest() != stream.slice(0, 8).digest()


def test_a_tail_is_held_out():
    stream = TokenStream([np.arange(700), np.arange(700, 1000)])
    text, held_out = split(stream, 16)
    assert [len(text), len(held_out)] == [900, 100]
    assert held_out.read(0, 100).tolist() == list(range(900, 1000))
    text, held_out = split(stream.slice(0, 100), 40)  # a tenth would be less than a sequence
    assert [len(text), len(held_out)] == [59, 41]


def test_text_shorter_than_two_sequences_is_an_error():
    with pytest.raises(DataError, match=r"the text has 81 tokens; .* takes 82"):
        split(TokenStream([np.arange(81)]), 40)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "there is no text in .*a.txt"),
        ("a.txt", b"abc\xff", r"a.txt is no text in UTF-8 \(byte 3\)"),
        ("a.txt", b"abc\0def", "a.txt is binary: it holds zero bytes"),
        ("a.bin", b"", "there is no text in .*a.bin"),
        ("a.bin", b"abc", "a.bin is no file of tokens .an odd number of bytes"),
        ("a.bin", b"abcd", r"a.bin holds token 25699; the vocabulary of the space is 256"),
        ("a.npy", b"no array", "a.npy is no file of tokens"),
        ("a.npy", b"", "a.npy is no file of tokens"),
        ("a.npy", b"PK\3\4 an archive", "a.npy is no file of tokens"),
    ],
)
def test_what_is_no_text_is_an_error(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros((2, 3), int), np.zeros(3), np.array([1, -1])])
def test_an_array_that_is_no_row_of_tokens_is_an_error(tmp_path: Path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"expected integers in a row|holds token -1"):
        read(tmp_path / "a.npy")


def test_a_pickle_in_an_array_is_not_loaded(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy is no file of tokens"):
        read(tmp_path / "a.npy")


def test_bytes_need_a_vocabulary_of_256(tmp_path: Path):
    (tmp_path / "a.txt").write_text("abc")
    with pytest.raises(InputError, match=r"vocabulary of the space is 100; tokens of bytes need"):
        read(tmp_path / "a.txt", vocabulary=100)
    with pytest.raises(InputError, match=r"absent\.txt cannot be read"):
        read(tmp_path / "absent.txt")
