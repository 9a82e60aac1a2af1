"""From a model configuration to a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.architecture_forms import as_lists
from hwgpt_blackbox.domain.model_config import ModelConfig
from hwgpt_blackbox.errors import require

if TYPE_CHECKING:
    from hwgpt_blackbox.network.gpt import GPT


def build_model(config: ModelConfig | Mapping[str, Any] | str, *, device: str = "cpu") -> GPT:
    """A torch module with random weights.

    :param config: what :func:`model_config` returns, or an architecture in another form
    :param device: of torch; on ``"meta"`` the largest model costs no memory and no time
    :raises InputError: no architecture
    :raises MissingExtraError: torch is not installed
    """
    found = config if isinstance(config, ModelConfig) else ModelConfig(**as_lists(config))
    require("torch", extra="network")
    from hwgpt_blackbox.network.gpt import GPT

    return GPT(found, device=device)
