// Package peers contains netbench's drivers for other QUIC stacks. They are separate programs in a separate
// module, so that netbench and its users do not depend on these stacks.
package peers
