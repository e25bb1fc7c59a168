#!/bin/bash
# Checks a job on this machine, then submits it:  slurm/submit.sh [--dry-run] [sbatch's options] slurm/SCRIPT.sh [CONFIG] [--key value …]
# --dry-run: checks it, and asks Slurm when it could start, without submitting it.
cd "$(dirname "$0")/.." && source slurm/common.sh && source slurm/server.sh || exit 1

SBATCH=() TEST=() NODES=1 PER_NODE=0 ALL=0
while [ $# -gt 0 ] && [[ $1 != *slurm/*.sh ]]; do
  case $1 in # what the check below depends on
    --dry-run) TEST=(--test-only); shift; continue ;;
    -N | --nodes) NODES=${2:-1} ;;
    --nodes=* | -N*) NODES=${1#--nodes=} NODES=${NODES#-N} ;;
    --gpus-per-node | --gres) PER_NODE=${2:-0} ;;
    --gpus-per-node=* | --gres=gpu*) PER_NODE=${1#*=} ;;
    -G | --gpus) ALL=${2:-0} ;;
    --gpus=* | -G*) ALL=${1#--gpus=} ALL=${ALL#-G} ;;
  esac
  SBATCH+=("$1")
  shift
done
NODES=${NODES%%-*} PER_NODE=${PER_NODE##*:} ALL=${ALL##*:}
[[ $NODES$PER_NODE$ALL =~ ^[0-9]+$ ]] || die "cannot read the number of nodes or GPUs: give --nodes=N and --gpus-per-node=[TYPE:]N"
((ALL == 0)) || PER_NODE=$((ALL / NODES))
[ $# -gt 0 ] || die "name a script: slurm/sft.sh, grpo.sh, star.sh or eval.sh (sweeps: python recipes/sweep.py … --slurm slurm/sweep.sh)"
script=$1; shift
[ -e "$script" ] || die "there is no $script: the scripts are slurm/sft.sh, grpo.sh, star.sh and eval.sh"
site
mkdir -p logs
case $(basename "$script") in
  sft.sh | star.sh | grpo.sh)
    recipe=$(basename "$script" .sh)
    options "$@"
    [ "$recipe" != grpo ] || { recipe=${RECIPE:-grpo}; check_rollouts "${VLLM:-}" "$NODES" "$PER_NODE"; }
    each=$((PER_NODE > 0 ? PER_NODE : ${PROCESSES:-1}))
    WORLD_SIZE=$((each * NODES)) "${COMMAND[@]}" "recipes/$recipe.py" "${OPTIONS[@]}" --dry_run "${DRY_RUN:-true}"
    ;;
esac
sbatch "${TEST[@]}" "${SBATCH[@]}" "$script" "$@"
