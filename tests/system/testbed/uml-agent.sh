#!/bin/bash
# uml-agent.sh: inside the User-Mode Linux guest, a service: run what the host puts into the shared folder. NAME.req is a bash
# script; NAME.out, NAME.err and, when it is done, NAME.rc answer it.
mkdir -p /run/h
mount -t hostfs none /run/h -o hostfs=/mnt/share || exit 1
touch /run/h/up
while :; do
  for request in /run/h/*.req; do
    [ -e "$request" ] || continue
    base=${request%.req}
    mv "$request" "$base.run"
    {
      bash "$base.run" </dev/null >"$base.out" 2>"$base.err"
      echo $? > "$base.part"
      mv "$base.part" "$base.rc"
    } &
  done
  sleep 0.03
done
