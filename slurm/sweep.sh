#!/bin/bash
# One task of a sweep's job array: a run that starts by itself, and those that go on from it.
# Submitted from the checkout by:  python recipes/sweep.py --config SWEEP.yaml --slurm slurm/sweep.sh [sbatch's options]
#SBATCH --job-name=rarecot-sweep
#SBATCH --ntasks=1
#SBATCH --output=%x-%A_%a.out
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch, from the checkout}"
exec "${PYTHON:-.venv/bin/python}" recipes/sweep.py --task "${SLURM_ARRAY_TASK_ID:?submit it as an array}" "$@"
