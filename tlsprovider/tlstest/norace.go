//go:build !race

package tlstest

// raceEnabled reports whether the race detector is enabled, which makes tests about ten times slower.
const raceEnabled = false
