package stats

// A Summary is what a client driver prints on standard output, as one JSON object, when it was asked
// for --summary: all that a comparison of two runs needs.
type Summary struct {
	Connections int64            `json:"connections"` // that did all of their script
	Failed      map[string]int64 `json:"failed,omitempty"`
	// Resumed is the number of handshakes that resumed a session; the others were full ones.
	Resumed int64 `json:"resumed,omitempty"`
	// Seconds is the time from the first dial to the end of the last connection; CPUSeconds is user
	// and system time of the driver's process in that time.
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
	// Rates are the connections completed in each full second, in order.
	Rates []int64 `json:"rates,omitempty"`

	BytesSent     int64 `json:"bytes_sent"` // of streams
	BytesReceived int64 `json:"bytes_received"`

	// Latency are percentiles in microseconds, by the names of Sample.Latency.
	Latency map[string]Percentiles `json:"latency,omitempty"`

	Provenance *Provenance `json:"provenance,omitempty"`
}

// Percentiles are of a distribution, in microseconds.
type Percentiles struct {
	Count int64 `json:"count"`
	Mean  int64 `json:"mean"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p99_9"`
	Max   int64 `json:"max"`
}
