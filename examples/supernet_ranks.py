"""Does a supernet rank architectures as training them alone does?

Compares the loss that architectures inherit from a supernet with the loss of those trained alone
for the same tokens (`hwgpt-blackbox supernet train --alone`), on the text that was held out.

python examples/supernet_ranks.py net eight.json alone/0 alone/1 … --out ranks.svg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from hwgpt_blackbox.network import load_supernet
from hwgpt_blackbox.network.evaluation import quality, windows
from hwgpt_blackbox.network.text import read_text
from hwgpt_blackbox.plotting.style import BLUE, GREY, new_figure, save
from hwgpt_blackbox.storage.measurement_set import read_configurations


def main() -> None:
    """Evaluate, print a table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("supernet", type=Path, help="folder of the supernet")
    parser.add_argument("architectures", type=Path, help="JSON file with a list of them")
    parser.add_argument("alone", nargs="+", type=Path, help="folder of each trained alone")
    parser.add_argument("--sequences", type=int, default=128, help="of the text that was held out")
    parser.add_argument("--out", type=Path, required=True, help="figure")
    args = parser.parse_args()

    supernet = load_supernet(args.supernet)
    space = supernet.space
    text = read_text([args.supernet / "validation.npy"], vocabulary=space.vocabulary)
    tokens = windows(text, space.sequence_length, args.sequences)
    rows = []
    configurations = read_configurations(space, args.architectures)
    for configuration, folder in zip(configurations, args.alone, strict=True):
        row = {"parameters": supernet.extract(configuration).num_parameters}
        for name, network in (("supernet", supernet), ("alone", load_supernet(folder))):
            row[name] = quality(network, tokens, configuration, batch=space.batch_size)[0]
        rows.append(row)
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False))
    tau = table["supernet"].corr(table["alone"], method="kendall")
    print(
        f"Kendall tau {tau:.3f}; inherited loss above the one alone: "
        f"{(table['supernet'] - table['alone']).mean():.3f} nats"
    )

    figure, panels = new_figure(1, 1, (3.6, 3.4))
    axes = panels[0, 0]
    axes.scatter(table["alone"], table["supernet"], color=BLUE)
    ends = np.array([table["alone"].min(), table["alone"].max()])
    axes.plot(ends, ends, color=GREY, linewidth=1, zorder=0)
    axes.set_xlabel("loss, trained alone (nats)")
    axes.set_ylabel("loss, inherited from the supernet (nats)")
    axes.set_title(f"Kendall tau {tau:.2f}", fontsize=9)
    save(figure, args.out)


if __name__ == "__main__":
    main()
