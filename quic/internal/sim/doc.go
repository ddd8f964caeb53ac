// Package sim runs the transport core on a simulated network in virtual time. Everything that can
// vary (delay, loss, reordering, duplication, corruption, how long TLS takes) follows from one
// number, so that a failure is replayed by its seed: tests print it, and run it alone when
// PQQUIC_SIM_SEED is set. Invariants are checked after every step.
//
// It is for tests only.
package sim
