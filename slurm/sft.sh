#!/bin/bash
# Next-token prediction:  sbatch [--nodes=2 --gpus-per-node=8 …] slurm/sft.sh CONFIG [--key value …]
#SBATCH --job-name=rarecot-sft
#SBATCH --nodes=1 --ntasks-per-node=1
#SBATCH --requeue --open-mode=append --signal=B:USR1@300
#SBATCH --output=logs/%x-%j.out
cd "${SLURM_SUBMIT_DIR:?submit it with sbatch, from the checkout}" && source slurm/common.sh || exit 1
options "$@"
begin
launch "$GPUS" "$CPUS" "$(IFS=,; echo "${HOSTS[*]}")" recipes/sft.py "${OPTIONS[@]}"
finish
