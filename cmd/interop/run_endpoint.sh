#!/bin/bash
# The entry point of the interop runner's container, and of `make interop`. The endpoint is the program interop beside it.
set -euo pipefail

# The runner's image has these two: the first sets the routes, the second waits for the simulator.
[ ! -x /setup.sh ] || /setup.sh
if [ "${ROLE:-}" = client ] && [ -x /wait-for-it.sh ]; then
	/wait-for-it.sh sim:57832 -s -t 30
fi
exec "$(dirname "$0")/interop" "$@"
