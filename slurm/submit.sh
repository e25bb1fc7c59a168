#!/bin/bash
# Checks a job on this machine, then submits it:  slurm/submit.sh [--dry-run] [sbatch's options] slurm/SCRIPT.sh [CONFIG] [--key value …]
# --dry-run: checks it, and asks Slurm when it could start, without submitting it.
cd "$(dirname "$0")/.." && source slurm/common.sh && source slurm/server.sh || exit 1

SBATCH=() TEST=() NODES=1 PER_NODE=0
while [ $# -gt 0 ] && [[ $1 != *.sh ]]; do
  case $1 in
    --dry-run) TEST=(--test-only) ;;
    --nodes=* | --gpus-per-node=*) declare "$([[ $1 = --nodes* ]] && echo NODES || echo PER_NODE)=${1#*=}"; SBATCH+=("$1") ;;
    -N | --nodes) NODES=$2; SBATCH+=("$1" "$2"); shift ;;
    --gpus-per-node) PER_NODE=$2; SBATCH+=("$1" "$2"); shift ;;
    *) SBATCH+=("$1") ;;
  esac
  shift
done
[ $# -gt 0 ] || die "name a script: slurm/sft.sh, grpo.sh, star.sh or eval.sh (sweeps: python recipes/sweep.py … --slurm slurm/sweep.sh)"
script=$1; shift
[ -e "$script" ] || die "there is no $script: the scripts are slurm/sft.sh, grpo.sh, star.sh and eval.sh"
site
mkdir -p logs
case $(basename "$script") in
  sft.sh | star.sh | grpo.sh)
    recipe=$(basename "$script" .sh)
    [ "$recipe" != grpo ] || { recipe=${RECIPE:-grpo}; check_rollouts "${VLLM:-}" "$NODES" "$PER_NODE"; }
    options "$@"
    each=$((${PER_NODE##*:} > 0 ? ${PER_NODE##*:} : ${PROCESSES:-1}))
    WORLD_SIZE=$((each * NODES)) "${COMMAND[@]}" "recipes/$recipe.py" "${OPTIONS[@]}" --dry_run "${DRY_RUN:-true}"
    ;;
esac
sbatch "${TEST[@]}" "${SBATCH[@]}" "$script" "$@"
