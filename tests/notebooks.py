"""Executes notebooks as a reader would, in a form that does not change from run to run.

``python tests/notebooks.py NOTEBOOK...`` executes notebooks and stores what they show.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(notebook: Path, folder: Path) -> Any:
    """A notebook with the outputs of an execution from top to bottom.

    :param folder: where it runs
    """
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(content, timeout=600, kernel_name="python3", record_timing=False)
    client.resources = {"metadata": {"path": str(folder)}}
    client.execute(env={**os.environ, "PYTHONWARNINGS": "ignore:IProgress not found"})
    for number, cell in enumerate(content.cells):
        cell["id"], cell["metadata"] = f"cell-{number}", {}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    content["metadata"] = _METADATA
    return content


def texts(content: Any) -> list[str]:
    """What the cells of a notebook print and return as text, figures left out."""
    found = []
    for cell in content.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if output.output_type == "stream":
                found.append(f"{output.name}: {output.text}")
            elif "image/png" not in data:
                found.append(data.get("text/plain", ""))
    return found


def figures(content: Any) -> list[str]:
    """The figures of a notebook, PNG in base64."""
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    return [o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        nbformat.write(execute(path, path.parent), path)
