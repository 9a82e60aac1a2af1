from __future__ import annotations

import numpy as np

from hwgpt_blackbox.models.chains import after_each


def test_no_group_is_left():
    """A search under limits that no group meets once could not shape what is empty."""
    assert after_each(np.zeros((0, 9)), 9, 9).shape == (0, 9, 9)
    assert after_each(np.zeros((2, 9)), 81, 9).shape == (2, 81, 9)
