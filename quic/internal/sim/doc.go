// Package sim runs the transport core on a simulated network in virtual time. Everything that can vary
// (delay, loss, reordering, duplication, corruption, the duration of TLS jobs) follows from one number, the
// seed. Tests print the seed of a failure, and run only that seed if PQQUIC_SIM_SEED is set. Invariants are
// checked after every step.
//
// The package is for tests only.
package sim
