# shellcheck disable=SC2034 # what is set here is used by the scripts that source this
# shellcheck shell=bash
# Where rollouts come from; sourced by slurm/grpo.sh and slurm/submit.sh.

# Refuses what cannot be divided, and options (read before, by `options`) that follow from VLLM.
check_rollouts() { # check_rollouts KIND NODES GPUS_A_NODE
  local theirs=${VLLM_GPUS:-$(($3 / 2))} option
  for option in ${1:+"${OPTIONS[@]}"}; do
    case ${option%%=*} in
      --use_vllm | --vllm_mode | --vllm_server_host | --vllm_server_port | --vllm_group_port)
        die "VLLM=$1 sets ${option%%=*}: leave it out, or do not set VLLM." ;;
    esac
  done
  case $1 in
    '' | colocate) ;;
    node) (($2 > 1)) || die "VLLM=node gives a server the last node, and this job has one. Use --nodes=2 or more, or VLLM=split." ;;
    split)
      (($2 == 1)) || die "VLLM=split divides one node, and this job has $2. Use VLLM=node."
      (($3 == 0 || (theirs > 0 && theirs < $3))) || die "VLLM=split leaves the server $theirs of $3 GPUs: both need one. Set VLLM_GPUS."
      ;;
    *) die "VLLM is '$1': it must be colocate, node or split, or not set (rollouts by transformers)." ;;
  esac
}

# Sets ROLLOUTS (options of the recipe) and TRAIN (the trainer's hosts), and starts a server where one is asked for.
rollouts() {
  check_rollouts "$1" "${#HOSTS[@]}" "$GPUS"
  TRAIN=("${HOSTS[@]}") ROLLOUTS=()
  case $1 in
    colocate) ROLLOUTS=(--use_vllm true --vllm_mode colocate) ;;
    node)
      TRAIN=("${HOSTS[@]:0:${#HOSTS[@]}-1}")
      serve "${HOSTS[-1]}" 0.0.0.0 "$GPUS" "$CPUS"
      ;;
    split)
      local theirs=${VLLM_GPUS:-$((GPUS / 2))} half=$((CPUS / 2))
      ((half)) || die "VLLM=split divides the CPUs of a node, and this job has $CPUS. Use --cpus-per-task=2 or more."
      unset SLURM_GPUS SLURM_CPUS_PER_GPU SLURM_GPUS_PER_TASK # a step's own share is said below
      SHARE=(--exact --immediate=120)
      if [ "${SLURM_MEM_PER_CPU:-0}" != 0 ]; then SHARE+=(--mem-per-cpu="$SLURM_MEM_PER_CPU"); fi
      if [ "${SLURM_MEM_PER_NODE:-0}" != 0 ]; then SHARE+=(--mem-per-cpu="$((SLURM_MEM_PER_NODE / CPUS))"); fi
      serve "${HOSTS[0]}" 127.0.0.1 "$theirs" "$half"
      GPUS=$((GPUS - theirs)) CPUS=$((CPUS - half))
      ((GPUS == 0)) || SHARE+=(--gpus-per-node="$GPUS")
      ;;
  esac
}

serve() { # serve HOST ADDRESS GPUS CPUS
  local port=$((MASTER_PORT + 1)) gpus=() at=$1
  [ "$2" = 0.0.0.0 ] || at=$2
  [ "${#OPTIONS[@]}" -gt 0 ] || die "VLLM=$VLLM serves the checkpoint that a run starts from: name the run's YAML."
  (($3 == 0)) || gpus=(--gpus-per-node="$3")
  SERVER_LOG=logs/server-$SLURM_JOB_ID.log
  # What asks the trainer to save must not take its server away: it ends when the trainer has.
  srun --job-name=vllm --nodes=1 --ntasks=1 --nodelist="$1" --cpus-per-task="$4" "${SHARE[@]}" "${gpus[@]}" \
    bash -c 'trap "" USR1 TERM; exec "$@"' server "${COMMAND[@]}" recipes/serve.py --recipe "${RECIPE:-grpo}" "${OPTIONS[@]}" \
    --host "$2" --port "$port" --tensor_parallel_size "$(($3 > 0 ? $3 : 1))" >>"$SERVER_LOG" 2>&1 &
  SERVER=$!
  # Its death is noticed here, so the trainer may be patient with a large model.
  ROLLOUTS=(--use_vllm true --vllm_mode server --vllm_server_host "$at" --vllm_server_port "$port" --vllm_group_port "$((port + 1))")
  [[ " ${OPTIONS[*]}" == *" --vllm_server_timeout"* ]] || ROLLOUTS+=(--vllm_server_timeout 1800)
  say "vLLM server on $1:$port, log in $SERVER_LOG"
}

# The trainer notices by itself, saves and says so; one that waits for the server does not.
server_died() {
  for _ in $(seq 90); do
    kill -0 "$STEP" 2>/dev/null || break
    sleep 0.5
  done
  [ ! -e "$RARECOT_STOP_NOTE" ] || return 0 # both were told to stop, and the trainer has saved
  say "the vLLM server ended while the run needed it. Its last words ($SERVER_LOG):"
  tail -n 20 "$SERVER_LOG"
  kill "$STEP" 2>/dev/null || true
  die "failed: the vLLM server ended. Submitted again, the run goes on from its newest checkpoint."
}
