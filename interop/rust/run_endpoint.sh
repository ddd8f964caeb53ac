#!/bin/bash
# The entry point of the endpoint of quinn and s2n-quic in `make interop`: its program is beside this script.
set -euo pipefail
exec "$(dirname "$0")/interop-endpoint"
