#!/usr/bin/env bash
# Measures this library beside masterzen/winrm, pywinrm and pypsrp, and writes
# docs/benchmarks.md. It installs the Python clients and the KDC when
# WINRMKIT_PEERS_VENV does not name them (.ci/peers, as root). Nothing else should
# be running. Further arguments go to go test, such as -rounds 1 or -bench Hosts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ -z "${WINRMKIT_PEERS_VENV:-}" ]; then
  cache=${WINRMKIT_CACHE:-$HOME/.cache/winrmkit}
  bash .ci/peers "$cache"
  export WINRMKIT_PEERS_VENV=$cache/venv
fi
go test -run '^TestTable$' -bench . -benchtime 300ms -timeout 2h ./internal/bench \
  -peers -rounds 5 -table "$PWD/docs/benchmarks.md" "$@"
