// Package metrics gathers the metrics of QUIC connections and endpoints. Package promquic exports them to
// Prometheus, package otelquic to OpenTelemetry.
//
//	monitor := metrics.NewMonitor()
//	prometheus.MustRegister(promquic.NewCollector(monitor))
//	listener, err := quic.Listen("udp", ":4433", monitor.Config(cfg))
//	…
//	monitor.Add(listener.Endpoint())
//
// For HTTP, Monitor.Handler counts the requests of a server and Monitor.RoundTripper those of a client:
//
//	server := &http3.Server{Handler: monitor.Handler(mux), QUIC: monitor.Config(nil), …}
//
// Monitor.Config is needed for the metrics of connections, Monitor.Add for those of an Endpoint: clients that it
// refuses, and datagrams that belong to no connection.
//
// Metrics whose name begins with quicgo_ have the names and reasons of quic-go's former metrics and mean the same,
// so that dashboards for those work. Their labels differ in two cases: packets have no type, and rejected clients
// and dropped packets no ip_version. See docs/observability.md for all metrics.
package metrics
