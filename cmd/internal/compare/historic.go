package compare

import "time"

// historic returns the study that AWS published of s2n-quic in 2022, with the key exchanges of that time. Only
// the historic variant of the C library has them.
func historic() Study {
	const provider = "s2n"
	s := Study{
		Name: "figure3-2022", Title: "Connection rate by key exchange: 2022 and now", Label: "2022's algorithms",
		About: "AWS's study of 2022 on post-quantum key exchange in QUIC, repeated: sequential connections with one byte " +
			"each way, ECDSA P-256 certificate, one key exchange at a time. For measurement only: these are drafts " +
			"of their time that no standard has adopted, and SIKE has been broken.",
		Connections: 10_000, Request: 1, Response: 1, Rounds: 5,
		Limit: 40 * time.Second, CountDatagrams: true, Variant: "historic", Beside: "figure3",
		Published: "AWS, 2022, on other hardware, with s2n-quic as the transport",
	}
	for _, e := range []struct {
		group     string
		published float64
	}{
		{"X25519", 0},
		{"X25519Kyber512R3", 0.92},
		{"X25519BIKEL1R3", 0.63},
		{"X25519SIKEp434R3", 0.05},
	} {
		c := withGroup(provider, e.group)
		c.Published = e.published
		if len(s.Configs) > 0 {
			c.Baseline = s.Configs[0].Name
		}
		s.Configs = append(s.Configs, c)
	}
	return s
}
