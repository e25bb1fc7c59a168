#!/bin/bash
# SFT, then RL from it, then the evaluation of all checkpoints: three jobs, each submitted at once and started when the one before it is done.
#   slurm/pipeline.sh [--dry-run] [sbatch's options] RUN_DIR SFT.yaml RL.yaml [eval/run.py's options: --suite …]
# RL=star: slurm/star.sh instead of slurm/grpo.sh (which takes RECIPE and VLLM).
cd "$(dirname "$0")/.." && source slurm/common.sh || exit 1

BEFORE=() DRY=()
while [ $# -gt 0 ] && [[ $1 = -* ]]; do
  case $1 in
    --dry-run) DRY=(--dry-run) ;;
    -?) BEFORE+=("$1" "$2"); shift ;;
    *) BEFORE+=("$1") ;;
  esac
  shift
done
[ $# -ge 3 ] || die "give RUN_DIR SFT.yaml RL.yaml, in this order (sbatch's options before them, as --key=value)"
run=$1 sft=$2 rl=$3
[[ -e $sft && -e $rl ]] || die "there is no ${sft} or no ${rl}: give RUN_DIR SFT.yaml RL.yaml, and sbatch's options before them as --key=value"
shift 3

submit() { # submit SCRIPT …: after the job AFTER, if there is one; AFTER is then this one
  local out
  out=$(slurm/submit.sh "${DRY[@]}" "${BEFORE[@]}" ${AFTER:+"--dependency=afterok:$AFTER" --kill-on-invalid-dep=yes} --parsable "$@") || { echo "$out"; exit 1; }
  echo "$out"
  [ ${#DRY[@]} -gt 0 ] || AFTER=$(tail -n 1 <<<"$out" | cut -d';' -f1)
}

AFTER=''
submit slurm/sft.sh "$sft" --run_dir "$run"
DRY_RUN=later submit "slurm/${RL:-grpo}.sh" "$rl" --run_dir "$run"
submit slurm/eval.sh --run "$run" "$@"
