#!/bin/bash
# Evaluation:  sbatch [--nodes=2 --gpus-per-node=8 …] slurm/eval.sh --run runs/mine [--suite eval/suites/gsm8k.yaml …]
# One process a GPU, on all nodes, sharing the run's checkpoints.
#SBATCH --job-name=rarecot-eval
#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH --requeue --open-mode=append --signal=B:USR1@120
#SBATCH --output=logs/%x-%j.out
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch, from the checkout}" && source slurm/common.sh || exit 1
[ $# -gt 0 ] || die "name what to evaluate: --run RUN_DIR, or --model MODEL --suite SUITE --out FOLDER (python eval/run.py --help)"
begin
each=$((GPUS > 0 ? GPUS : ${PROCESSES:-1}))
crowded=()
((CPUS >= each)) || crowded=(--overcommit)
srun "${crowded[@]}" --ntasks=$((each * ${#HOSTS[@]})) --ntasks-per-node="$each" --cpus-per-task=$((CPUS / each > 0 ? CPUS / each : 1)) \
  bash slurm/node.sh "${COMMAND[@]}" eval/run.py "$@" &
STEP=$!
finish
