#!/bin/bash
# The entry point of quiche's endpoint in `make interop`: its program is beside this script.
set -euo pipefail
exec "$(dirname "$0")/quiche-endpoint"
