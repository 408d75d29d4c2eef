#!/usr/bin/env bash
# Usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# On a machine without GPUs, GPUS is the number of CPU processes (gloo).
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, as with MMPretrain.
set -euo pipefail

if [ $# -lt 3 ]; then
    sed -n '2,4s/^# //p' "$0"
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
for FILE in "$CONFIG" "$CHECKPOINT"; do
    if [[ "$FILE" != *://* && ! -f "$FILE" ]]; then
        echo "$0: no such file: $FILE" >&2
        exit 2
    fi
done
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

exec "$PYTHON" "$HERE/start_ranks.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
