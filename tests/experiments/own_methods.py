"""Methods of a user, as ``--methods own_methods:…`` names them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from hwgpt_blackbox.optimizers import make_scheduler


def random_search(config_space, metrics, *, random_seed, canonical_form=None):
    return make_scheduler(
        "RS", config_space, metrics, random_seed=random_seed, canonical_form=canonical_form
    )


def halving(config_space, metrics, **options):
    return make_scheduler("MOASHA", config_space, metrics, **options)


halving.over_fidelity = True


def fails(config_space, metrics, *, random_seed, canonical_form=None):
    raise RuntimeError(f"no luck with seed {random_seed}")


def fails_once(config_space, metrics, *, random_seed, canonical_form=None):
    """Kills its process when it is first called with seed 1."""
    flag = Path(os.environ["OWN_METHODS_FLAG"])
    if random_seed == 1 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return random_search(config_space, metrics, random_seed=random_seed)


def of_one_thread(config_space, metrics, *, random_seed, canonical_form=None):
    """Fails unless whatever computes with several threads has been told to use one."""
    from threadpoolctl import threadpool_info

    pools = threadpool_info()
    if any(pool["num_threads"] != 1 for pool in pools):
        raise RuntimeError(f"several threads: {pools}")
    return random_search(config_space, metrics, random_seed=random_seed)


def another_signature(space):
    return None


def returns_nothing(config_space, metrics, **options):
    return None


NOT_A_FUNCTION = 3
