package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// traceName returns the name of a trace by its number, which is a string in the files.
func traceName(traces []string, id string) string {
	if n, err := strconv.Atoi(id); err == nil && n >= 0 && n < len(traces) {
		return printable(traces[n], 40)
	}
	return printable(id, 40)
}

// si formats a number with three digits and an SI prefix: 1.23 M. Without a unit there is no trailing
// space.
func si(v float64, unit string) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strings.TrimSpace("0 " + unit)
	}
	prefixes := []string{"p", "n", "µ", "m", "", "k", "M", "G", "T", "P"}
	const one = 4
	e := int(math.Floor(math.Log10(math.Abs(v)*1.0005) / 3))
	e = max(-one, min(len(prefixes)-1-one, e))
	// There are no thousandths of a byte, connection or core.
	if e < 0 && !strings.HasPrefix(unit, "s") {
		e = 0
	}
	return strings.TrimSpace(digits(v/math.Pow(1000, float64(e))) + " " + prefixes[e+one] + unit)
}

// digits formats three significant digits, without trailing zeros in a fraction.
func digits(v float64) string {
	a := math.Abs(v)
	n := 2
	switch {
	case a >= 99.95:
		n = 0
	case a >= 9.995:
		n = 1
	}
	text := strconv.FormatFloat(v, 'f', n, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// Ticks returns about five round numbers from zero to at least most.
func Ticks(most float64) []float64 {
	if most <= 0 || math.IsNaN(most) || math.IsInf(most, 0) {
		most = 1
	}
	raw := most / 5
	magnitude := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * magnitude
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*magnitude >= raw*0.9999 {
			step = m * magnitude
			break
		}
	}
	var out []float64
	for i := 0; i < 12; i++ {
		out = append(out, float64(i)*step)
		if float64(i)*step >= most*0.9999 {
			break
		}
	}
	return out
}

// seconds formats a point of a time axis.
func seconds(v float64) string { return fmt.Sprintf("%s s", strconv.FormatFloat(v, 'g', 6, 64)) }

// between formats a range, with the unit once if it is the same.
func between(low, high float64, unit string) string {
	l, h := si(low, unit), si(high, unit)
	number, of, _ := strings.Cut(l, " ")
	if _, other, _ := strings.Cut(h, " "); other == of {
		l = number
	}
	return l + " to " + h
}
