#!/bin/bash
# The entry point of aioquic's endpoint in `make interop`: scripts/interop-peers puts the packages beside this script.
set -euo pipefail
cd "$(dirname "$0")"
export PYTHONPATH=$PWD/packages PYTHONDONTWRITEBYTECODE=1
exec python3 endpoint.py
