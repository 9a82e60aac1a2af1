"""Configuration of the documentation: Sphinx, Markdown by MyST, Furo. Needs no network."""

from __future__ import annotations

import sys
from pathlib import Path

from hwgpt_blackbox._version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))


def copy_notebooks() -> None:
    """Copy the example notebooks to the pages, with links that are right there."""
    (HERE / "examples").mkdir(exist_ok=True)
    for notebook in (HERE.parent / "examples").glob("*.ipynb"):
        text = notebook.read_text("utf-8").replace("](../docs/", "](../")
        copy = HERE / "examples" / notebook.name
        if not copy.is_file() or copy.read_text("utf-8") != text:
            copy.write_text(text, encoding="utf-8")


copy_notebooks()

project = "hwgpt-blackbox"
author = "the hwgpt-blackbox authors"
copyright = "2026, the hwgpt-blackbox authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "command_help",
    "docstrings",
]
exclude_patterns = ["**/.ipynb_checkpoints"]

# -- pages -----------------------------------------------------------------------------------

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
nb_execution_mode = "off"  # outputs are stored; the tests execute the notebook and compare
nb_merge_streams = True

# -- docstrings --------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_type_aliases = {"ArrayLike": "~numpy.typing.ArrayLike"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

# References that do not resolve are errors, but for types of other projects, whose inventories
# would have to be fetched, and for names that only developers meet.
nitpicky = True
_FOREIGN = "collections|matplotlib|np|npt|numbers|numpy|optuna|pandas|pathlib|pd|syne_tune|torch"
_TYPES = "ArrayLike|Axes|Blackbox|Figure|NDArray|Number|Path|TypeAliasForwardRef"
_INNER = "AdditiveModel|Configurations|Layout|Network|TargetFunction|Recorder|RemotePath|Table"
_NAMES = "UNKNOWN_SEED|metric_signs|offset|provenance|read_device"
nitpick_ignore_regex = [
    ("py:.*", rf"({_FOREIGN})\..*"),
    ("py:.*", rf"'?(.*\.)?({_TYPES}|{_INNER}|{_NAMES})'?"),
    ("py:.*", r"hwgpt_blackbox\.(\w+\.)*_\w+\..*"),
]

# -- appearance ---------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"hwgpt-blackbox {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
