#!/usr/bin/env bash
# Usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# On a machine without GPUs, GPUS is the number of CPU processes (gloo).
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT, as with MMPretrain.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,4s/^# //p' "$0"
    exit 2
fi
CONFIG=$1
GPUS=$2
if [ ! -f "$CONFIG" ]; then
    echo "$0: no such file: $CONFIG" >&2
    exit 2
fi
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# torchrun passes on SIGTERM and SIGINT by itself; SIGUSR1, which Slurm sends, would end it alone
export PET_SIGNALS_TO_HANDLE=${PET_SIGNALS_TO_HANDLE:-SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1}

exec "$PYTHON" "$HERE/start_ranks.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$HERE/train.py" "$CONFIG" --launcher pytorch "${@:3}"
