#!/bin/bash
# uml-run.sh NAME [-t SECONDS] [-u USER] [-p UNITPROPERTY]... [--] COMMAND...: run COMMAND in the guest as a transient service. stdout,
# stderr and the exit status come back (124: not within SECONDS, 300 unless told; 125: the guest ended). No stdin.
set -u
. "$(dirname "$0")/lib.sh"
session=$TB/uml/${1:?name}
shift
options=() limit=300
while [ $# -gt 0 ]; do
  case $1 in
    -t) limit=$2; shift 2 ;;
    -u) options+=(-p "User=$2" -p PAMName=login -p "WorkingDirectory=~"); shift 2 ;;
    -p) options+=(-p "$2"); shift 2 ;;
    --) shift; break ;;
    *) break ;;
  esac
done
base=$session/share/r$$-$RANDOM
printf '%q ' systemd-run --quiet --collect --wait --pipe --service-type=exec --expand-environment=no "${options[@]}" -- "$@" > "$base.new"
mv "$base.new" "$base.req"
end=$((SECONDS + limit)) status=
until [ -e "$base.rc" ]; do
  alive "$session/pid" || { echo "testbed: the machine ended" >&2; status=125; break; }
  [ $SECONDS -lt $end ] || { status=124; break; }
  sleep 0.03
done
cat "$base.out" 2>/dev/null
cat "$base.err" >&2 2>/dev/null
[ -n "$status" ] || status=$(cat "$base.rc")
rm -f "$base".*
exit "$status"
