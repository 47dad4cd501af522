#!/bin/bash
# Every shell script of the tree passes shellcheck.
set -euo pipefail
cd "$(dirname "$0")/../.."

mapfile -t scripts < <(
    grep -rlIE -m 1 '^#!/bin/(ba)?sh|^# shellcheck shell=bash' tools bench tests docs .ci \
        --include='*' |
        grep -v __pycache__ | sort)
if ! command -v shellcheck >/dev/null; then
    echo "shellcheck is not installed: apt-get install shellcheck, or run tools/test" >&2
    exit 1
fi
shellcheck --external-sources --source-path=. "${scripts[@]}"
echo "${#scripts[@]} scripts checked"
