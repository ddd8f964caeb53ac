package stats

// A Summary is the JSON object that a client driver prints to standard output with --summary. It holds all
// that a comparison of two runs needs.
type Summary struct {
	Connections int64            `json:"connections"` // connections that completed their script
	Failed      map[string]int64 `json:"failed,omitempty"`
	// Resumed is the number of handshakes that resumed a session.
	Resumed int64 `json:"resumed,omitempty"`
	// Seconds is the time from the first dial to the end of the last connection. CPUSeconds is the user and
	// system time of the driver's process in that time.
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	// Rates holds the number of connections completed in each full second, in order.
	Rates []int64 `json:"rates,omitempty"`

	BytesSent     int64 `json:"bytes_sent"` // on streams
	BytesReceived int64 `json:"bytes_received"`

	// Latency holds percentiles in microseconds, by the keys of Sample.Latency.
	Latency map[string]Percentiles `json:"latency,omitempty"`

	Provenance *Provenance `json:"provenance,omitempty"`
}

// Percentiles holds percentiles of a distribution in microseconds.
type Percentiles struct {
	Count int64 `json:"count"`
	Mean  int64 `json:"mean"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p99_9"`
	Max   int64 `json:"max"`
}
