# shellcheck disable=SC2034 # what is set here is used by the scripts that source this
# shellcheck shell=bash
# What the job scripts share; they source it. What a site needs is in slurm/site.env; what a run is, in its YAML.
set -euo pipefail

say() { echo "[$(date +%T)] $*"; }
die() { say "$*" >&2; exit 1; }

# Reads site.env and finds Python: COMMAND is what starts it, inside the container if there is one.
site() {
  local file=${RARECOT_SITE:-slurm/site.env}
  set +eu # a site's files are not written for them
  if [ -e "$file" ]; then
    set -a
    # shellcheck disable=SC1090
    source "$file"
    set +a
  else
    say "there is no $file (copy slurm/site.env.example): going on without modules or a container, with the Python of .venv"
  fi
  if [ -n "$MODULES" ]; then
    type module >/dev/null 2>&1 || die "MODULES is set in $file, but there is no 'module' command here. Load its profile in $file, or leave MODULES out."
    # shellcheck disable=SC2086
    module load $MODULES || die "module load $MODULES failed. Set MODULES in $file to what 'module avail' lists."
  fi
  set -eu
  COMMAND=("${VENV:-.venv}/bin/python")
  if [ -n "${CONTAINER:-}" ]; then
    command -v "${APPTAINER:=apptainer}" >/dev/null || die "CONTAINER is set in $file, but there is no $APPTAINER here. Load its module (MODULES), or leave CONTAINER out."
    # shellcheck disable=SC2206
    COMMAND=("$APPTAINER" exec --bind "$PWD" ${CONTAINER_OPTIONS:-} "$CONTAINER" "${CONTAINER_PYTHON:-python3}")
  elif [ ! -x "${COMMAND[0]}" ]; then
    die "there is no Python at ${COMMAND[0]}. Run make test once on a node that sees the package index, or set VENV in $file."
  fi
}

# CONFIG [--key value …] → OPTIONS, as the recipes take them.
options() {
  local config=recipes/accelerate/${ACCELERATE_CONFIG:-ddp}.yaml
  [ -e "$config" ] || die "ACCELERATE_CONFIG is $ACCELERATE_CONFIG, but there is no $config: $(cd recipes/accelerate && echo *.yaml)"
  OPTIONS=("$@")
  if [ $# -gt 0 ] && [[ $1 != --* ]]; then
    [ -e "$1" ] || die "there is no $1. Name a YAML, for example one of recipes/parity/quick/."
    OPTIONS=(--config "$@")
  fi
}

# A job begins: how it is told to stop, where it runs, and whether all nodes see what this one wrote.
begin() {
  STEP='' ASKED='' CANCELLED='' SERVER=''
  trap 'ASKED=1; say "USR1: the run is asked to save"' USR1
  trap 'CANCELLED=1; say "TERM: the run is asked to save"' TERM
  export SLURM_EXPORT_ENV=ALL # steps get what is set here, however the job was submitted
  site
  mkdir -p logs
  mapfile -t HOSTS < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
  GPUS=${SLURM_GPUS_ON_NODE:-0} CPUS=${SLURM_CPUS_ON_NODE:-1}
  MASTER_PORT=$(free_ports $((20000 + SLURM_JOB_ID % 4000 * 3)))
  export RARECOT_STOP_NOTE=$PWD/logs/stopped-$SLURM_JOB_ID
  rm -f "$RARECOT_STOP_NOTE"
  ((${SLURM_RESTART_COUNT:-0})) || rm -f "$RARECOT_STOP_NOTE.before"
  say "${SLURM_JOB_NAME} ${SLURM_JOB_ID} on ${HOSTS[*]}, $GPUS GPUs and $CPUS CPUs each, restart ${SLURM_RESTART_COUNT:-0}"
  [ "${#HOSTS[@]}" = 1 ] || seen_everywhere
}

# The first of three ports in a row that are free here: of the launcher, of a vLLM server, of its weights.
free_ports() {
  local port
  for port in $(seq "$1" 3 $(($1 + 300))); do
    in_use "$port" || in_use $((port + 1)) || in_use $((port + 2)) || { echo "$port"; return; }
  done
  die "the ports $1 to $((port + 2)) of $(hostname) are in use"
}

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A shared file system may lag: what is written here must show on every node before anything relies on it.
seen_everywhere() {
  local token=logs/.seen-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}
  touch "$token"
  # shellcheck disable=SC2016
  srun --ntasks="${#HOSTS[@]}" --ntasks-per-node=1 bash -c 'for _ in $(seq 60); do [ -e "$0" ] && exit; sleep 1; done; echo "$(hostname) does not see $0 after a minute: is the checkout on a file system that all nodes share?"; exit 1' \
    "$PWD/$token" || die "the nodes do not see the same files"
  rm -f "$token"
}

# accelerate launch SCRIPT [OPTION …] on hosts, in the background: STEP is its srun.
launch() { # launch GPUS_A_NODE CPUS_A_NODE HOST,HOST SCRIPT …
  local gpus=$1 cpus=$2 hosts=$3 nodes
  shift 3
  nodes=$(($(tr -cd , <<<"$hosts" | wc -c) + 1))
  local each=$((gpus > 0 ? gpus : ${PROCESSES:-1})) all config
  all=$((each * nodes))
  if ((gpus)); then config=$([ $all = 1 ] && echo cuda || echo ddp); else config=$([ $all = 1 ] && echo cpu || echo gloo); fi
  config=recipes/accelerate/${ACCELERATE_CONFIG:-$config}.yaml
  if ((!gpus)); then
    export ACCELERATE_USE_CPU=true OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cpus / each > 0 ? cpus / each : 1))}
  fi
  # Launchers kill their workers on TERM; here the workers are told themselves (slurm/node.sh), and save.
  export PET_SIGNALS_TO_HANDLE=SIGINT,SIGHUP,SIGQUIT
  say "$(basename "$1"): $all processes, $config"
  srun --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --nodelist="$hosts" --cpus-per-task="$cpus" "${SHARE[@]}" \
    --kill-on-bad-exit=1 --wait=60 bash slurm/node.sh "${COMMAND[@]}" -m accelerate.commands.launch --config_file "$config" \
    --num_machines "$nodes" --num_processes "$all" --machine_rank @NODE@ --main_process_ip "${hosts%%,*}" \
    --main_process_port "$MASTER_PORT" "$@" &
  STEP=$!
}
SHARE=() # options of steps that share a node

# Waits until the run's step ends, and hands on that it shall stop; a server's death before its end is a failure.
finish() {
  local rc=0 since=$SECONDS
  while kill -0 "$STEP" 2>/dev/null; do
    if [ -n "$ASKED$CANCELLED" ]; then
      # srun heeds it once its tasks run; more than once, as they may not listen yet (slurm/node.sh tells each process once).
      ((SECONDS - since < 3)) || kill -USR1 "$STEP" 2>/dev/null || true
      sleep 2
    else
      wait -n "$STEP" ${SERVER:+"$SERVER"} || true # returns early, too, when a signal arrives
    fi
    [ -z "$SERVER" ] || kill -0 "$SERVER" 2>/dev/null || server_died
  done
  wait "$STEP" || rc=$?
  if [ -n "$SERVER" ] && ((rc)) && [ ! -e "$RARECOT_STOP_NOTE" ]; then # perhaps because of it: the run may have noticed first
    sleep 3
    kill -0 "$SERVER" 2>/dev/null || server_died
  fi
  [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
  leave "$rc"
}

# Ends the job, or has it queued again where its run was stopped and there is more to do.
leave() {
  local rc=$1 before=$RARECOT_STOP_NOTE.before
  if [ -n "$ASKED$CANCELLED" ] || [ "${#HOSTS[@]}" -gt 1 ]; then # another node may have written the note
    for _ in $(seq 10); do [ -e "$RARECOT_STOP_NOTE" ] && break; sleep 0.5; done
  fi
  # What one process saved because another failed is no stop.
  if [ ! -e "$RARECOT_STOP_NOTE" ] || { ((rc)) && [ -z "$ASKED$CANCELLED" ]; }; then
    rm -f "$before" "$RARECOT_STOP_NOTE"
    say "ended with exit code $rc"
    exit "$rc"
  fi
  say "stopped: $(cat "$RARECOT_STOP_NOTE")"
  ! cmp -s "$RARECOT_STOP_NOTE" "$before" ||
    die "this start and the one before it came no further. Is the job's --time shorter than what --signal runs ahead of it (300 s), or than a step?"
  mv "$RARECOT_STOP_NOTE" "$before"
  [ -z "$CANCELLED" ] || exit 143 # cancelled, or preempted by Slurm, which queues it again by itself
  ((${SLURM_RESTART_COUNT:-0} < ${MAX_REQUEUES:-50})) ||
    die "restarted ${SLURM_RESTART_COUNT:-0} times, MAX_REQUEUES. The same sbatch command goes on."
  say "queued again"
  scontrol requeue "$SLURM_JOB_ID" || die "this job cannot be queued again here. The same sbatch command goes on."
  sleep 120 # Slurm ends the script
}
