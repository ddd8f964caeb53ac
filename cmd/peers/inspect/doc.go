// Package inspect holds pqinspect against connections of other stacks, and against tshark's reading of
// the same packets. It has no code of its own.
package inspect
