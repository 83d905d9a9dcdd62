# Shared functions of the scripts in this folder. Source this file.

began=${HOOKPROOF_BEGAN:-$(date +%s)}
export HOOKPROOF_BEGAN=$began
cache=${HOOKPROOF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hookproof}
export HOOKPROOF_CACHE=$cache
mkdir -p "$cache/logs" "$cache/locks"
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# setup installs Go in the cache if the system has none.
export PATH="$PATH:$cache/tools/go/bin:/usr/local/go/bin:$HOME/.cargo/bin"

# say TEXT: prints a line with the elapsed time.
say() {
  local seconds=$(($(date +%s) - began))
  printf '[%3dm%02ds] %s\n' $((seconds / 60)) $((seconds % 60)) "$*" >&2
}

# fail TEXT...: prints the error and exits with code 3.
fail() {
  say "failed: $*"
  exit 3
}

# have COMMAND: whether the command is installed.
have() {
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

# as_root COMMAND...: runs it directly as root, else with sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

# can_be_root: whether as_root works.
can_be_root() {
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

# step NAME LOG COMMAND...: runs a command with its output in a log; on failure prints the last lines.
step() {
  local name=$1 log=$2
  shift 2
  say "$name"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    fail "$name; full log: $log"
  fi
}

# at_least WANTED FOUND: whether version FOUND is WANTED or newer.
at_least() {
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}
