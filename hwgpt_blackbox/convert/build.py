"""The way into every conversion: artifacts are made aside, and put in place whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hwgpt_blackbox.convert.progress import Progress, progress_bar
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.storage.locations import home


@dataclass(frozen=True)
class Build:
    """Artifacts that are being made.

    :param outputs: their places
    :param progress: called with the name of each step
    """

    outputs: Outputs
    progress: Progress

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder that becomes the artifact ``name``.

        :raises OutputError: it cannot be made, or the block cannot write
        """
        path = self.outputs.build(name)
        with writing(path):
            yield path

    def publish(self) -> list[Path]:
        """Put all artifacts in place; their folders.

        :raises OutputError: an artifact is there meanwhile, or cannot be replaced
        """
        self.progress("putting the artifacts in place")
        return self.outputs.publish()


@contextmanager
def building(
    names: list[str], out: str | Path | None, *, overwrite: bool, progress: bool
) -> Iterator[Build]:
    """Make artifacts; what was not published at the end of the block is removed.

    :param names: of the artifacts
    :param out: folder of the artifacts; default: where the blackboxes are looked for
    :param overwrite: replace artifacts that exist
    :param progress: show a progress bar on standard error
    :raises OutputError: an artifact exists, or the folder cannot be written
    """
    folder = home() if out is None else Path(out).expanduser()
    outputs = Outputs(folder.absolute(), names, overwrite=overwrite)
    with terminate_as_exit(), progress_bar(progress) as steps, outputs:
        yield Build(outputs, steps)
