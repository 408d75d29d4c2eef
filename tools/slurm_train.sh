#!/usr/bin/env bash
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS, as with MMPretrain; PYTHON, OMP_NUM_THREADS.
# REQUEUE=1 in a job of sbatch --requeue --signal=B:USR1@120 --wrap "exec tools/slurm_train.sh ...":
# two minutes before its time is over the run saves and ends, and the job goes back into the queue,
# to be resumed.
set -euo pipefail

if [ $# -lt 4 ]; then
    sed -n '2,6s/^# //p' "$0"
    exit 2
fi
if [ ! -f "$3" ]; then
    echo "$0: no such file: $3" >&2
    exit 2
fi
HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
export PYTHONPATH="$HERE/..:${PYTHONPATH:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

RESUME=()
# A job that was lost before its first checkpoint begins anew.
if [ "${REQUEUE:-0}" = 1 ] && [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] &&
    compgen -G "$4/*.pth" >/dev/null; then
    RESUME=(--resume)
fi

# SRUN_ARGS holds several arguments and is split on purpose
# shellcheck disable=SC2206
COMMAND=(srun -p "$1"
    --job-name="$2"
    --gres=gpu:"${GPUS_PER_NODE:-8}"
    --ntasks="${GPUS:-8}"
    --ntasks-per-node="${GPUS_PER_NODE:-8}"
    --cpus-per-task="${CPUS_PER_TASK:-5}"
    --kill-on-bad-exit=1
    ${SRUN_ARGS:-}
    "$PYTHON" -u "$HERE/train.py" "$3" --work-dir="$4" --launcher=slurm "${RESUME[@]}" "${@:5}")

if [ "${REQUEUE:-0}" != 1 ]; then
    exec "${COMMAND[@]}"
fi
if [ -z "${SLURM_JOB_ID:-}" ]; then
    echo "$0: REQUEUE: expected to be in a job of sbatch, got none (SLURM_JOB_ID is not set)" >&2
    exit 2
fi
# The signal comes to this shell alone (B:), which so knows of it, and is passed on.
STOPPED=0
trap 'trap "" USR1; STOPPED=1; kill -USR1 "$SRUN"' USR1
"${COMMAND[@]}" &
SRUN=$!
CODE=0
wait "$SRUN" || CODE=$?
if [ "$STOPPED" = 1 ]; then
    CODE=0
    wait "$SRUN" || CODE=$? # the signal had ended the first wait
    if [ "$CODE" = 0 ]; then
        exec scontrol requeue "$SLURM_JOB_ID"
    fi
fi
exit "$CODE"
