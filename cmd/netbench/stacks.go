package main

import (
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/transport/pq"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
)

// stacks are the transports that netbench has built in, the first being the default.
func stacks() []drivercli.Stack {
	return []drivercli.Stack{{Name: "pqquic", New: pq.New}, {Name: "tcp", New: tcp.New}}
}
