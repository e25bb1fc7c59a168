#!/bin/bash
# One task of a step: its command, and what tells it to save. Which processes of a step Slurm signals depends on how a site tracks them, and
# launchers do not survive signals; so all of them ignore them, and those that listen (the workers) are told by hand, each once.
asked='' told=' '
trap 'asked=1' USR1 TERM
(trap '' USR1 TERM && exec "${@/@NODE@/$SLURM_NODEID}") &
command=$!

tell() {
  local -A parent=() catches=()
  local pid key value above
  for pid in /proc/[0-9]*; do
    while read -r key value _; do
      case $key in
        PPid:) parent[${pid#/proc/}]=$value ;;
        SigCgt:) catches[${pid#/proc/}]=$((16#$value & 16#200)) ;; # signal 10, USR1
      esac
    done 2>/dev/null <"$pid/status"
  done
  for pid in "${!catches[@]}"; do
    [[ ${catches[$pid]} != 0 && $told != *" $pid "* ]] || continue
    case $(cat "/proc/$pid/comm" 2>/dev/null) in apptainer* | starter* | singularity*) continue ;; esac # hand signals on to what they contain
    above=$pid
    while ((above > 1 && above != command)); do above=${parent[$above]:-0}; done
    ((above == command)) || continue
    told+="$pid "
    kill -USR1 "$pid"
  done
}

while kill -0 "$command" 2>/dev/null; do
  if [ -n "$asked" ]; then tell; sleep 1; else wait "$command"; fi # a signal ends the wait
done
wait "$command" # remembered
