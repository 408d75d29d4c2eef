#!/usr/bin/env bash
# Usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS, as with MMPretrain; PYTHON, OMP_NUM_THREADS.
set -euo pipefail

if [ $# -lt 4 ]; then
    sed -n '2,3s/^# //p' "$0"
    exit 2
fi
for FILE in "$3" "$4"; do
    if [[ "$FILE" != *://* && ! -f "$FILE" ]]; then
        echo "$0: no such file: $FILE" >&2
        exit 2
    fi
done
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

# SRUN_ARGS holds several arguments and is split on purpose
# shellcheck disable=SC2086
exec srun -p "$1" \
    --job-name="$2" \
    --gres=gpu:"${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$HERE/test.py" "$3" "$4" --launcher=slurm "${@:5}"
