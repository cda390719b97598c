# What the scripts beside this file share; each sources it first, with its own command line.
#
# Reads the option, --smoke or --help (which prints the script's leading comment), into `smoke`,
# goes to the repository, `root`, and defines `say`, `fail` and the checks below. A script that
# sets `takes_words` before reads its command line itself; here only --help is answered then.

readonly USAGE=2   # exit code for something that the user can put right
self=$(realpath "$0")
script_name=$(basename "$self" .sh)
root=$(dirname "$(dirname "$self")")
cd "$root"

say() { printf '[%s] %s\n' "$script_name" "$*"; }
fail() { printf '[%s] error: %s\n' "$script_name" "$*" >&2; exit "$USAGE"; }

smoke=false
case "${takes_words-}:${1-}" in
  *:-h | *:--help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$self"; exit 0 ;;
  true:* | :) ;;
  :--smoke) smoke=true ;;
  *) fail "unknown option '$1'; known: --smoke, --help" ;;
esac
[ -n "${takes_words-}" ] || [ $# -le 1 ] || fail "one option at most, got: $*"

# require_counts NAME...: refuse settings that are no whole number from 1 on.
require_counts() {
  local name
  for name in "$@"; do
    [[ ${!name} =~ ^[1-9][0-9]*$ ]] ||
      fail "$name must be a whole number from 1 on, got '${!name}'"
  done
}

# Choose PYTHON if nobody did, and let it find the packages of the repository.
find_python() {
  if [ -z "${PYTHON-}" ]; then
    PYTHON=python3
    [ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python
  fi
  command -v "$PYTHON" >/dev/null || fail "PYTHON=$PYTHON is not installed"
  export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
}
