//go:build race

package tlstest

const raceEnabled = true
