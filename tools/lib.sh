# Shared by the tools: progress lines, failures that say what to do, packages, the build.
# Sourced, never run. The caller has set -euo pipefail.
# shellcheck shell=bash

hearth_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
hearth_log_folder="${hearth_root}/build/logs"
hearth_current_step=""

# step "what happens now": one line that later failures refer to.
step() {
    hearth_current_step="$1"
    printf '==> %s\n' "$1" >&2
}

note() {
    printf '    %s\n' "$1" >&2
}

# fail "what went wrong" "what to do about it": the end.
fail() {
    printf '\nFAILED: %s\n' "$1" >&2
    if [[ -n "${hearth_current_step}" ]]; then
        printf '  while: %s\n' "${hearth_current_step}" >&2
    fi
    printf '  do:    %s\n' "$2" >&2
    exit 1
}

# packages_of group...: the package names of those groups in tools/packages.
packages_of() {
    local wanted=" $* " group="" line
    while IFS= read -r line; do
        line="${line%%#*}"
        line="${line//[[:space:]]/}"
        if [[ "${line}" == \[*\] ]]; then
            group="${line:1:-1}"
        elif [[ -n "${line}" && "${wanted}" == *" ${group} "* ]]; then
            printf '%s\n' "${line}"
        fi
    done <"${hearth_root}/tools/packages"
}

# missing_packages group...: those of them that dpkg does not have as installed.
missing_packages() {
    local -a names
    mapfile -t names < <(packages_of "$@")
    # dpkg-query answers non-zero when it does not know a name; what it prints is still right.
    comm -23 <(printf '%s\n' "${names[@]}" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${names[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u)
}

as_root() {
    if [[ "$(id -u)" == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "root is needed to install packages" "run this once as root: apt-get install $*"
    fi
}

# apt_quietly log arguments...: apt-get with its output in the log and a dot line while it works.
apt_quietly() {
    local log="$1"
    shift
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 "$@" </dev/null 2>&1 | tee -a "${log}" |
        awk '/^(Get:|Unpacking|Setting up)/ { if (++lines % 40 == 0) print "    " $1, $2, $3 }' >&2
}

# install_packages group...: no apt call at all when nothing is missing, so that a second run needs
# no network; the package lists are fetched only when they do not know a package or are stale.
install_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages "$@")
    if [[ ${#missing[@]} == 0 ]]; then
        return 0
    fi
    command -v apt-get >/dev/null ||
        fail "these packages are missing and there is no apt-get: ${missing[*]}" \
            "install their equivalents with this system's package manager"
    step "installing ${#missing[@]} Debian packages"
    note "${missing[*]}"
    mkdir -p "${hearth_log_folder}"
    local log="${hearth_log_folder}/apt.log"
    : >"${log}"
    if ! apt_quietly "${log}" install --no-install-recommends "${missing[@]}"; then
        note "not with the package lists at hand; fetching new ones"
        apt_quietly "${log}" update ||
            fail "apt-get update failed: $(tail -n 3 "${log}" | tr '\n' ' ')" \
                "check the network and /etc/apt, then run this again (whole log: ${log})"
        apt_quietly "${log}" install --no-install-recommends "${missing[@]}" ||
            fail "apt-get install failed: $(grep -m 3 '^E:' "${log}" | tr '\n' ' ')" \
                "Debian 12.10 or later has every package; whole log: ${log}"
    fi
}

# run_logged name command...: output goes to build/logs/name.log; its end is shown on failure.
run_logged() {
    local log="${hearth_log_folder}/$1.log"
    shift
    mkdir -p "${hearth_log_folder}"
    "$@" >"${log}" 2>&1 && return 0
    tail -n 40 "${log}" >&2
    return 1
}

# configure preset
configure() {
    local preset="$1"
    (cd "${hearth_root}" && run_logged "configure-${preset}" cmake --preset "${preset}") ||
        fail "cmake --preset ${preset} failed" \
            "read the last lines above; after a compiler change, remove build/${preset} first"
}

# build preset target...: on a terminal ninja's own single line, elsewhere a line each tenth.
build() {
    local preset="$1" log="${hearth_log_folder}/build-$1.log"
    shift
    mkdir -p "${hearth_log_folder}"
    local remedy="mend what the compiler names and run this again (whole log: ${log})"
    if [[ -t 2 ]]; then
        NINJA_STATUS='    [%f/%t] ' ninja -C "${hearth_root}/build/${preset}" "$@" >&2 ||
            fail "the build of ${preset} failed" "mend what the compiler names above"
        return 0
    fi
    NINJA_STATUS='[%f/%t] ' ninja -C "${hearth_root}/build/${preset}" "$@" 2>&1 | tee "${log}" |
        awk '
            /^FAILED/ { failed = 1 }
            failed { print; next }
            match($0, /^\[[0-9]+\/[0-9]+\]/) {
                split(substr($0, 2, RLENGTH - 2), count, "/")
                tenth = int(count[1] * 10 / count[2])
                if (tenth != last) { printf "    [%d/%d]\n", count[1], count[2]; fflush() }
                last = tenth
            }' >&2 || fail "the build of ${preset} failed" "${remedy}"
}

# hearth_program preset: where the build put the server.
hearth_program() {
    printf '%s/build/%s/src/bin/hearth\n' "${hearth_root}" "$1"
}
