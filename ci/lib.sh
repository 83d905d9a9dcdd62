# Shared by the scripts beside it; sourced, not run.

began=${HOOKPROOF_BEGAN:-$(date +%s)}
export HOOKPROOF_BEGAN=$began
cache=${HOOKPROOF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hookproof}
export HOOKPROOF_CACHE=$cache
mkdir -p "$cache/logs" "$cache/locks"
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where setup puts a Go that the system does not have.
export PATH="$PATH:$cache/tools/go/bin:/usr/local/go/bin:$HOME/.cargo/bin"

# say TEXT: a line with the time since the beginning.
say() {
  local seconds=$(($(date +%s) - began))
  printf '[%3dm%02ds] %s\n' $((seconds / 60)) $((seconds % 60)) "$*" >&2
}

# fail TEXT...: the last line before giving up, with what to do.
fail() {
  say "failed: $*"
  exit 3
}

# have COMMAND: whether it is there.
have() {
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]
}

# as_root COMMAND...: directly or by sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

# can_be_root: whether as_root will work.
can_be_root() {
  [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

# step NAME LOG COMMAND...: runs it with its output in a log; shows the end of the log if it fails.
step() {
  local name=$1 log=$2
  shift 2
  say "$name"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    fail "$name; everything it printed: $log"
  fi
}

# at_least WANTED FOUND: compares versions.
at_least() {
  [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}
