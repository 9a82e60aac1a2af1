"""``cfg_model``: the settings of the published model that clients read choices from."""

from __future__ import annotations

from typing import Any

from hwgpt_blackbox.domain.spaces import (
    HEAD_SIZE,
    NORM_EPSILON,
    ROTARY_SHARE,
    SEQUENCE_LENGTH,
    VOCABULARY,
    Space,
)


class Settings(dict[str, Any]):
    """Settings by key or attribute, as in the published package; what is not here says so."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(
                f"{name!r} of the published settings is not provided; provided: {', '.join(self)}"
            )
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def model_settings(space: Space) -> Settings:
    """The choices of a space, and sizes that its networks share, under the published names.

    :return: with one attribute, ``model``
    """
    return Settings(
        model=Settings(
            embed_choices=list(space.embed_dims),
            layer_choices=list(space.num_layers),
            head_choices=list(space.num_heads),
            mlp_ratio_choices=list(space.mlp_ratios),
            bias_choices=[True, False],
            block_size=SEQUENCE_LENGTH,
            vocab_size=VOCABULARY,
            padded_vocab_size=VOCABULARY,
            head_size=HEAD_SIZE,
            rotary_percentage=ROTARY_SHARE,
            norm_eps=NORM_EPSILON,
            n_embd=space.embed_dims[-1],
            n_layer=space.num_layers[-1],
            n_head=space.num_heads[-1],
            mlp_ratio=space.mlp_ratios[-1],
            bias=True,
        )
    )
