#!/bin/bash
# One task of a sweep's job array: a run that starts by itself, and those that go on from it. Submitted from the checkout by
#   python recipes/sweep.py --config SWEEP.yaml --slurm slurm/sweep.sh [sbatch's options]
#SBATCH --job-name=rarecot-sweep
#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH --requeue --open-mode=append --signal=B:USR1@300
#SBATCH --output=logs/%x-%A_%a.out
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch, from the checkout}" && source slurm/common.sh || exit 1
begin
srun --ntasks=1 --cpus-per-task="$CPUS" bash slurm/node.sh "${COMMAND[@]}" recipes/sweep.py --task "${SLURM_ARRAY_TASK_ID:?submit it as an array}" "$@" &
STEP=$!
finish
