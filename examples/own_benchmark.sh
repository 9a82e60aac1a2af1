#!/usr/bin/env bash
# A benchmark of one's own, from a space to a report: in about seven minutes on two cores.
#
#     examples/own_benchmark.sh [FOLDER]        (default: own-benchmark)
#
# Text: the reference documentation of Python, which every Python holds (pydoc_data; PSF licence).
# STEPS, ARCHITECTURES, PROFILED and TRIALS make it longer or shorter. Whatever was interrupted goes on.
set -euo pipefail
examples="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "${1:-own-benchmark}"
cd "${1:-own-benchmark}"
steps="${STEPS:-1000}"
export HWGPT_BLACKBOX_HOME="${HWGPT_BLACKBOX_HOME:-$PWD/artifacts}"

cat > space.toml <<'TOML'
name = "mine"
embed_dim = [32, 48, 64]
num_layers = [2, 3, 4]
mlp_ratio = [1, 2, 4]
num_heads = [2, 4, 6]
batch_size = 16
sequence_length = 64
vocabulary = 256
head_size = 16
network = "gelu-tied"
TOML

python - <<'PYTHON'
import json
import pydoc_data.topics
from pathlib import Path
from hwgpt_blackbox import Space
from hwgpt_blackbox.network.evaluation import sample

Path("text.txt").write_text("\n".join(pydoc_data.topics.topics.values()))
eight = sample(Space.from_file("space.toml"), 8, seed=100)
Path("eight.json").write_text(json.dumps(eight))
PYTHON

# Quality: train the supernet, evaluate sub-networks on the text that was held out.
train=(--space space.toml --text text.txt --steps "$steps" --lr 0.004 --on cpu --quiet)
hwgpt-blackbox supernet train "${train[@]}" --out net
hwgpt-blackbox supernet evaluate net --text net/validation.npy --sequences 64 \
    --architectures "${ARCHITECTURES:-600}" --out measured --quiet

# Hardware: profile this machine into the same set, and make the blackbox.
hwgpt-blackbox profile --space space.toml --device here --batch 1 --length 64 \
    --architectures "${PROFILED:-120}" --out measured --quiet
hwgpt-blackbox convert measured --overwrite --quiet
hwgpt-blackbox verify hwgpt-mine

# Search in simulated time, report, and take the best architecture under a budget.
hwgpt-blackbox run --space mine --objectives perplexity latency@here --methods RS RE NSGA2 EHVI \
    --trials "${TRIALS:-60}" --seeds 0 1 2 --out results
hwgpt-blackbox report results --out report
hwgpt-blackbox supernet extract net --best perplexity --out best.safetensors

# Does the supernet rank architectures as training them alone does?
for i in 0 1 2 3 4 5 6 7; do
    hwgpt-blackbox supernet train "${train[@]}" --alone eight.json --row "$i" --out "alone/$i" > /dev/null
done
python "$examples/supernet_ranks.py" net eight.json alone/{0..7} --out ranks.svg
