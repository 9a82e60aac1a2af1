"""How the reference shows our docstrings: types of arrays and references as the code writes them.

An array is shown as ``NDArray[float64]``, not as what that stands for.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

_ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[[^]]*\], ~?numpy\.dtype\[((?:[^][]|\[[^]]*\])*)\]\]")


def shorten(app: Sphinx, domain: str, objtype: str, content: nodes.Element) -> None:
    """Write the types of arrays as our code does."""
    for field in content.findall(nodes.field):
        if field[0].astext().startswith(("type ", "rtype")):
            for text in list(field[1].findall(nodes.Text)):
                short = _ARRAY.sub(r"~numpy.typing.NDArray[\1]", text.astext())
                text.parent.replace(text, nodes.Text(short))


def find(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.TextElement
) -> nodes.Node | None:
    """Resolve a Python name that its module imports from another of ours, by its last part."""
    if node.get("refdomain") != "py" or node.get("refspecific"):
        return None
    node["refspecific"] = True
    python = env.get_domain("py")
    return python.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, content
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register all."""
    app.connect("object-description-transform", shorten, priority=600)  # after autodoc's types
    app.connect("missing-reference", find)
    return {"parallel_read_safe": True}
