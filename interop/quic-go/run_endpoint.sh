#!/bin/bash
# The entry point of quic-go's endpoint in `make interop`: its programs client and server are beside this script.
set -euo pipefail
cd "$(dirname "$0")"
if [ "$ROLE" = client ]; then
	read -ra urls <<<"$REQUESTS"
	exec ./client "${urls[@]}"
fi
exec ./server
