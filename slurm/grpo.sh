#!/bin/bash
# GRPO:  sbatch [--nodes=2 --gpus-per-node=8 …] slurm/grpo.sh CONFIG [--key value …]
# RECIPE=reinforce: REINFORCE instead. Rollouts by vLLM:
#   VLLM=colocate  in the trainer's processes
#   VLLM=node      a server on the last node, the trainer on the others
#   VLLM=split     one node: a server on VLLM_GPUS of its GPUs (half), the trainer on the others
#SBATCH --job-name=rarecot-grpo
#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH --requeue --open-mode=append --signal=B:USR1@300
#SBATCH --output=logs/%x-%j.out
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch, from the checkout}" && source slurm/common.sh || exit 1
source slurm/server.sh
options "$@"
begin
rollouts "${VLLM:-}"
launch "$GPUS" "$CPUS" "$(IFS=,; echo "${TRAIN[*]}")" "recipes/${RECIPE:-grpo}.py" "${ROLLOUTS[@]}" "${OPTIONS[@]}"
finish
