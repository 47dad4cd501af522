#!/bin/bash
# The quickstart works from any folder, twice in a row, and the second time without a network; it
# leaves no process and no folder behind.
set -euo pipefail
quickstart="$(cd "$(dirname "$0")/../.." && pwd)/tools/quickstart"

# Its own folder for temporary files: what is left there was left by the quickstart.
TMPDIR="$(mktemp -d)"
export TMPDIR
trap 'rm -rf "${TMPDIR}"' EXIT
chmod 0755 "${TMPDIR}"

cd /
"${quickstart}"
# Loopback alone, where user namespaces or root allow to take the network away.
if unshare --net -- ip link set lo up 2>/dev/null; then
    # shellcheck disable=SC2016  # $0 belongs to the inner bash
    unshare --net -- bash -c 'ip link set lo up && exec "$0"' "${quickstart}"
else
    "${quickstart}"
fi

left="$(find "${TMPDIR}" -mindepth 1)"
if [[ -n "${left}" ]]; then
    printf 'left behind:\n%s\n' "${left}" >&2
    exit 1
fi
