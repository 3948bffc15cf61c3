#!/bin/bash
# run.sh NAME [-u USER] [-p UNITPROPERTY]... [-e NAME=VALUE]... [-n UNIT] [--] COMMAND...: run COMMAND in the guest as a transient
# service. stdin, stdout, stderr and the exit status are COMMAND's (1 if a signal ended it). With -u a PAM session is opened for USER,
# as machinectl shell does, so logind, pam_exec hooks and the user manager take part.
set -eu
name=${1:?name}
shift
options=()
while [ $# -gt 0 ]; do
  case $1 in
    -u) options+=(-p "User=$2" -p PAMName=login -p "WorkingDirectory=~"); shift 2 ;;
    -p) options+=(-p "$2"); shift 2 ;;
    -e) options+=("--setenv=$2"); shift 2 ;;
    -n) options+=("--unit=$2"); shift 2 ;;
    --) shift; break ;;
    *) break ;;
  esac
done
# PID 1 expands $ in a transient command unless told not to.
exec "$(dirname "$0")/enter.sh" "$name" systemd-run --expand-environment=no --quiet --collect --wait --pipe \
  --service-type=exec "${options[@]}" -- "$@"
