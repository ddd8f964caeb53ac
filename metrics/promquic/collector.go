// Package promquic exports the metrics of a Monitor to Prometheus.
package promquic

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pqquic/pqquic/metrics"
)

// A Collector is a prometheus.Collector for a Monitor. Register one Collector for each Monitor.
type Collector struct {
	monitor *metrics.Monitor
	descs   map[*metrics.Family]*prometheus.Desc
}

// NewCollector returns a Collector.
func NewCollector(m *metrics.Monitor) *Collector {
	c := &Collector{monitor: m, descs: make(map[*metrics.Family]*prometheus.Desc)}
	for _, f := range metrics.Families() {
		c.descs[f] = prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)
	}
	return c
}

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect sends all metrics.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.monitor.Gather() {
		desc := c.descs[s.Family]
		switch s.Family.Kind {
		case metrics.Histogram:
			ch <- prometheus.MustNewConstHistogram(desc, s.Count, s.Sum, s.Buckets, s.Labels...)
		case metrics.Gauge:
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, s.Value, s.Labels...)
		default:
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, s.Value, s.Labels...)
		}
	}
}
