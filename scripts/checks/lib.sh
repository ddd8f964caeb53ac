# Shared by the checks of the build, which run on a copy of the tree: what the working tree has linked
# stays as it is. Sourced, not run.
set -euo pipefail
# With pipefail no grep -q at the end of a pipe: it leaves at the first match, and the SIGPIPE of what
# still writes is then the pipe's failure.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
platform=$(go env GOOS)_$(go env GOARCH)
work=$(mktemp -d "${TMPDIR:-/tmp}/pqquic-check.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
unset GOFLAGS GOWORK CGO_CFLAGS CGO_LDFLAGS S2N_TLS_DIR S2N_TLS_LIB_DIR S2N_TLS_INCLUDE_DIR AWS_LC_DIR

# copy_tree DIR: the files that git knows or would take, as a fresh clone has them. The unpacked C
# sources are shared, so that a check does not download them again.
copy_tree() {
	mkdir -p "$1/build/out"
	(cd "$root" && git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done | tar --null -T - -c) | tar -x -C "$1"
	ln -s "$root/build/out/src" "$1/build/out/src"
}

fail() {
	echo "FAIL ${0##*/}: $*" >&2
	exit 1
}

# refuses TEXT COMMAND…: the command fails, and its output holds TEXT.
refuses() {
	local want=$1 out
	shift
	if out=$("$@" 2>&1); then fail "went through: $*"; fi
	tr -s '\n ' ' ' <<<"$out" | grep -F -- "$want" >/dev/null || fail "$* failed without \"$want\": $out"
}

# says TEXT COMMAND…: the command succeeds, and its output holds TEXT.
says() {
	local want=$1 out
	shift
	out=$("$@" 2>&1) || fail "$*: $out"
	grep -qF -- "$want" <<<"$out" || fail "$* does not say \"$want\": $out"
}

pass() { echo "ok   ${0##*/}: $*"; }
