package main

import (
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/transport/pq"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
)

// stacks returns the built-in transports. The first is the default.
func stacks() []drivercli.Stack {
	return []drivercli.Stack{{Name: "pqquic", New: pq.New}, {Name: "tcp", New: tcp.New}}
}
