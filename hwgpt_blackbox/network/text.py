"""Text as tokens: UTF-8 files as bytes or by a tokenizer, and files of tokens."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import DataError, InputError, printable, require

logger = logging.getLogger(__name__)

BYTES = 256
"""Vocabulary of text without a tokenizer: a token is a byte of UTF-8."""

NUMPY, BINARY = ".npy", ".bin"
"""Suffixes of files of tokens: NumPy's own, of any integers; and bare little-endian uint16."""

HELD_OUT_SHARE, MOST_HELD_OUT = 0.1, 1 << 20
"""Of a text, this share is held out for validation, and no more tokens than that."""

Tokens = NDArray[np.integer[Any]]


class TokenStream:
    """Tokens of several files in a row; nothing is joined or copied until it is read.

    :param parts: each of shape (tokens,), of integers
    """

    def __init__(self, parts: Sequence[NDArray[Any]]) -> None:
        self.parts = [part for part in parts if len(part)]
        self._ends = list(itertools.accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        """Number of tokens."""
        return self._ends[-1] if self._ends else 0

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """Tokens from ``start`` to before ``stop``, shape (stop - start,)."""
        return np.concatenate([part.astype(np.int64) for part in self._pieces(start, stop)])

    def slice(self, start: int, stop: int) -> TokenStream:
        """The stream of tokens from ``start`` to before ``stop``; a view."""
        return TokenStream(list(self._pieces(start, stop)))

    def batch(self, starts: Sequence[int] | NDArray[Any], length: int) -> NDArray[np.int64]:
        """Sequences from each of ``starts``, shape (starts, length)."""
        return np.stack([self.read(start, start + length) for start in map(int, starts)])

    def digest(self) -> str:
        """SHA-256 of the tokens as they are stored."""
        found = hashlib.sha256()
        for part in self.parts:
            found.update(part.dtype.str.encode())
            for start in range(0, len(part), 1 << 22):
                found.update(part[start : start + (1 << 22)].tobytes())
        return found.hexdigest()

    def _pieces(self, start: int, stop: int) -> Iterator[Tokens]:
        for part, end in zip(self.parts, self._ends, strict=True):
            begin = end - len(part)
            if start < end and stop > begin:
                yield part[max(start - begin, 0) : stop - begin]


def read_text(
    paths: Sequence[str | Path], *, vocabulary: int, tokenizer: str | Path | None = None
) -> TokenStream:
    """The tokens of texts, in the order of the paths.

    :param paths: UTF-8 files; folders, of which all files are read in the order of their names (of
        those that are no text a warning is logged); files of tokens, ``.npy`` or uint16 ``.bin``
    :param vocabulary: of the network
    :param tokenizer: a ``tokenizer.json`` for the text; default: bytes
    :raises InputError: a path cannot be read, or the vocabulary is too small for the tokenizer
    :raises DataError: there is no text, it is binary, or a token is beyond the vocabulary; names
        the file
    """
    read = _Reader(vocabulary, None if tokenizer is None else Path(tokenizer))
    parts: list[Tokens] = []
    for path in map(Path, [paths] if isinstance(paths, str | Path) else paths):
        try:
            if not path.is_dir():
                parts.append(read.file(path))
                continue
            for file in sorted(p for p in path.rglob("*") if p.is_file()):
                try:
                    parts.append(read.file(file))
                except DataError as error:
                    logger.warning("left out: %s", printable(error))
        except OSError as error:
            raise InputError(f"the text {path} cannot be read: {error.strerror}") from None
    stream = TokenStream(parts)
    if not len(stream):
        raise DataError(f"there is no text in {', '.join(map(str, paths)):.300}")
    return stream


def split(stream: TokenStream, sequence_length: int) -> tuple[TokenStream, TokenStream]:
    """What is trained on, and the tail that is held out for validation.

    :param sequence_length: of the network; both parts have at least one sequence and its next token
    :raises DataError: the text is too short for that
    """
    window = sequence_length + 1
    held_out = max(min(int(HELD_OUT_SHARE * len(stream)), MOST_HELD_OUT), window)
    if len(stream) < held_out + window:
        raise DataError(
            f"the text has {len(stream)} tokens; training on sequences of {sequence_length} and "
            f"holding out one for validation takes {2 * window}: give more text, or choose a "
            "shorter sequence_length in the space"
        )
    cut = len(stream) - held_out
    return stream.slice(0, cut), stream.slice(cut, len(stream))


class _Reader:
    """Reads single files."""

    def __init__(self, vocabulary: int, tokenizer: Path | None) -> None:
        self.vocabulary = vocabulary
        self.tokenizer: Any = None
        self._needed, self._source = BYTES, "bytes"
        if tokenizer is not None:
            self.tokenizer = _load_tokenizer(tokenizer)
            self._needed, self._source = self.tokenizer.get_vocab_size(), str(tokenizer)

    def file(self, path: Path) -> Tokens:
        """The tokens of a file.

        :raises OSError: it cannot be read
        """
        if path.suffix in (NUMPY, BINARY):
            return self._token_file(path)
        if self._needed > self.vocabulary:
            raise InputError(
                f"the vocabulary of the space is {self.vocabulary}; tokens of {self._source} need "
                f"{self._needed}: change it in the space file, or give a tokenizer with fewer"
            )
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no text in UTF-8 (byte {error.start})") from None
        if "\0" in text:
            raise DataError(f"{path} is binary: it holds zero bytes")
        if self.tokenizer is None:
            return np.frombuffer(content, dtype=np.uint8)
        tokens = self.tokenizer.encode(text, add_special_tokens=False).ids
        return np.array(tokens, dtype=np.uint16 if self.vocabulary <= 1 << 16 else np.int32)

    def _token_file(self, path: Path) -> Tokens:
        """A file of tokens, mapped into memory; every token is looked at once."""
        tokens: Tokens
        try:
            if path.suffix == NUMPY:
                tokens = np.lib.format.open_memmap(path, mode="r")
            else:
                if path.stat().st_size % 2:
                    raise ValueError("an odd number of bytes")
                empty = path.stat().st_size == 0
                tokens = np.empty(0, "<u2") if empty else np.memmap(path, dtype="<u2", mode="r")
        except (ValueError, EOFError) as error:
            raise DataError(f"{path} is no file of tokens ({printable(error):.200})") from None
        if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
            raise DataError(
                f"{path} has shape {tokens.shape} and type {tokens.dtype}; expected integers in a "
                "row"
            )
        for start in range(0, len(tokens), 1 << 22):
            chunk = tokens[start : start + (1 << 22)]
            if chunk.min() < 0 or chunk.max() >= self.vocabulary:
                raise DataError(
                    f"{path} holds token {chunk.max() if chunk.min() >= 0 else chunk.min()}; the "
                    f"vocabulary of the space is {self.vocabulary}"
                )
        return tokens


def _load_tokenizer(path: Path) -> Any:
    """A tokenizer of the library of that name.

    :raises InputError: it cannot be read
    :raises DataError: it is none
    """
    require("tokenizers", extra="network")
    from tokenizers import Tokenizer

    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the tokenizer {path} cannot be read: {error}") from None
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises bare exceptions
        raise DataError(f"{path} is no tokenizer.json ({printable(error):.200})") from None
