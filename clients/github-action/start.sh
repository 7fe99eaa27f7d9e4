#!/usr/bin/env bash
# Installs gguf-gateway, starts what is asked for in the background, and tells where it is once it listens.
# The runner ends it with the job. Its log is $RUNNER_TEMP/gguf-gateway-PORT.log: a job may start several.
set -euo pipefail

environment=$RUNNER_TEMP/gguf-gateway
log=$RUNNER_TEMP/gguf-gateway-$PORT.log
: >"$log"  # before it is looked at
if [ ! -x "$environment/bin/mock-llama-server" ]; then
  python3 -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${PACKAGE:-$GITHUB_ACTION_PATH/../..}"
fi

options=()
if [ -n "$OPTIONS" ]; then
  while IFS= read -r word; do options+=("$word"); done < <(xargs -n 1 printf '%s\n' <<<"$OPTIONS")
fi
case $SERVE in
  mock) command=("$environment/bin/mock-llama-server"); mark="main: server is listening on" ;;
  sandbox) command=("$environment/bin/gguf-gateway" sandbox --json); mark='"control_url"' ;;
  *) echo "::error::serve must be mock or sandbox, not $SERVE"; exit 1 ;;
esac
"${command[@]}" --port "$PORT" --control-port "$CONTROL_PORT" ${options[@]+"${options[@]}"} >>"$log" 2>&1 </dev/null &
process=$!

until grep -q "$mark" "$log"; do
  if ! kill -0 "$process" 2>/dev/null; then
    echo "::error::$(tail -n 1 "$log")"
    exit 1
  fi
  sleep 0.05
done

if [ "$SERVE" = mock ]; then
  {
    echo "base-url=http://127.0.0.1:$PORT"
    echo "control-url=http://127.0.0.1:$CONTROL_PORT"
    echo "key="
  } >>"$GITHUB_OUTPUT"
else
  grep -m 1 "$mark" "$log" | "$environment/bin/python" -c '
import json, sys
sandbox = json.load(sys.stdin)
first = next(iter(sandbox["deployments"].values()))
print("base-url=" + first["base_url"], "control-url=" + first["control_url"], "key=" + sandbox["key"], sep="\n")
' >>"$GITHUB_OUTPUT"
fi
echo "$SERVE is listening; its log is $log"
