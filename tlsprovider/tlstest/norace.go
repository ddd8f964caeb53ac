//go:build !race

package tlstest

// raceEnabled says that everything takes ten times as long.
const raceEnabled = false
