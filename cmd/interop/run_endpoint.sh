#!/bin/bash
# The entry point of the interop runner's container, and of `make interop`. The endpoint is the program interop beside it.
set -euo pipefail

# The runner's image has these two: the first sets the routes, the second waits for the simulator.
[ ! -x /setup.sh ] || /setup.sh
if [ "${ROLE:-}" = client ] && [ -x /wait-for-it.sh ]; then
	/wait-for-it.sh sim:57832 -s -t 30
fi
# A client moves only to a preferred address of the family that it uses, so the server needs a second IPv4 address.
if [ "${ROLE:-}:${TESTCASE:-}" = server:connectionmigration ]; then
	read -r _ device _ address _ < <(ip -o -4 address show scope global)
	host=${address%/*}
	ip address add "${host%.*}.$((${host##*.} + 10))/${address#*/}" dev "$device"
fi
exec "$(dirname "$0")/interop" "$@"
