// Package peers holds netbench's drivers on other QUIC stacks, each a program of its own, so that
// neither netbench nor its users have these stacks among their requirements.
package peers
