package metrics

import "math"

// A Kind is the kind of a metric, as in Prometheus.
type Kind int

const (
	Counter   Kind = iota // only grows
	Gauge                 // grows and shrinks
	Histogram             // counts observations by size
)

// A Family is a metric with its labels.
type Family struct {
	Name, Help string
	Kind       Kind
	Labels     []string
	Buckets    []float64 // the upper bounds of a Histogram's buckets, without infinity
}

// The metrics of connections. The label dir is incoming or outgoing.
var (
	started = Family{Name: "quicgo_connections_started_total", Help: "Connections begun.", Labels: []string{"dir"}}
	closed  = Family{Name: "quicgo_connections_closed_total", Help: "Connections ended, by cause.", Labels: []string{"dir", "reason"}}

	handshakeDuration = Family{Name: "quicgo_handshake_duration_seconds", Kind: Histogram, Labels: []string{"dir"},
		Help: "Time from the first packet to the completed handshake.", Buckets: exponential(0.001, 1.3, 35)}
	connectionDuration = Family{Name: "quicgo_connection_duration_seconds", Kind: Histogram, Labels: []string{"dir"},
		Help: "Duration of connections whose handshake was completed.", Buckets: exponential(1.0/16, 2, 25)}
	roundTripTime = Family{Name: "pqquic_smoothed_rtt_seconds", Kind: Histogram, Labels: []string{"dir"},
		Help: "Smoothed round-trip time of connections at their end.", Buckets: exponential(0.0001, 2, 18)}

	current    = Family{Name: "pqquic_connections", Kind: Gauge, Help: "Connections that have begun and not ended.", Labels: []string{"dir"}}
	handshakes = Family{Name: "pqquic_handshakes_total", Labels: []string{"dir", "group", "post_quantum", "resumed"},
		Help: "Handshakes completed, by key exchange."}
	downgrades = Family{Name: "pqquic_handshake_downgrades_total", Labels: []string{"dir"},
		Help: "Handshakes completed with a classical key exchange although this side offers post-quantum ones."}
)

// exponential returns n bounds, each factor times the one before.
func exponential(first, factor float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = first * math.Pow(factor, float64(i))
	}
	return out
}

// A Sample is the value of a metric for some values of its labels. The samples of a Histogram have Buckets, Sum and
// Count; other samples have Value.
type Sample struct {
	Family *Family
	Labels []string
	Value  float64

	Buckets map[float64]uint64 // the number of observations up to each bound
	Sum     float64
	Count   uint64
}

// A histogram counts the observations of a Family in one direction.
type histogram struct {
	counts []uint64 // by bucket; the last one is above all bounds
	sum    float64
	count  uint64
}

func (h *histogram) observe(f *Family, v float64) {
	if h.counts == nil {
		h.counts = make([]uint64, len(f.Buckets)+1)
	}
	i := 0
	for i < len(f.Buckets) && v > f.Buckets[i] {
		i++
	}
	h.counts[i]++
	h.sum += v
	h.count++
}

func (h *histogram) sample(f *Family, labels ...string) Sample {
	s := Sample{Family: f, Labels: labels, Buckets: make(map[float64]uint64, len(f.Buckets)), Sum: h.sum, Count: h.count}
	total := uint64(0)
	for i, bound := range f.Buckets {
		if h.counts != nil {
			total += h.counts[i]
		}
		s.Buckets[bound] = total
	}
	return s
}
