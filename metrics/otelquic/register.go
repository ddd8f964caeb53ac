// Package otelquic exports the metrics of a Monitor to OpenTelemetry.
package otelquic

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/pqquic/pqquic/metrics"
)

// name returns the name and the unit of a metric in OpenTelemetry. Exporters to Prometheus make the original name
// of them.
func name(f *metrics.Family) (n, unit string) {
	n = strings.TrimSuffix(f.Name, "_total")
	for suffix, u := range map[string]string{"_seconds": "s", "_bytes": "By"} {
		if short, ok := strings.CutSuffix(n, suffix); ok {
			n, unit = short, u
		}
	}
	return strings.Replace(n, "_", ".", 1), unit
}

// Register makes an instrument of the meter for each metric of a Monitor. The function that it returns removes
// them.
func Register(m *metrics.Monitor, meter metric.Meter) (unregister func() error, err error) {
	observable := make(map[*metrics.Family]metric.Float64Observable)
	histograms := make(map[*metrics.Family]metric.Float64Histogram)
	var all []metric.Observable
	for _, f := range metrics.Families() {
		n, unit := name(f)
		var o metric.Float64Observable
		switch f.Kind {
		case metrics.Histogram:
			histograms[f], err = meter.Float64Histogram(n, metric.WithDescription(f.Help), metric.WithUnit(unit),
				metric.WithExplicitBucketBoundaries(f.Buckets...))
		case metrics.Gauge:
			o, err = meter.Float64ObservableGauge(n, metric.WithDescription(f.Help), metric.WithUnit(unit))
		default:
			o, err = meter.Float64ObservableCounter(n, metric.WithDescription(f.Help), metric.WithUnit(unit))
		}
		if err != nil {
			return nil, err
		}
		if o != nil {
			observable[f] = o
			all = append(all, o)
		}
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, s := range m.Gather() {
			if s.Family.Kind != metrics.Histogram {
				o.ObserveFloat64(observable[s.Family], s.Value, attributes(s.Family, s.Labels))
			}
		}
		return nil
	}, all...)
	if err != nil {
		return nil, err
	}
	stop := m.Observe(func(f *metrics.Family, labels []string, seconds float64) {
		histograms[f].Record(context.Background(), seconds, attributes(f, labels))
	})
	return func() error {
		stop()
		return registration.Unregister()
	}, nil
}

func attributes(f *metrics.Family, values []string) metric.MeasurementOption {
	kvs := make([]attribute.KeyValue, len(values))
	for i, v := range values {
		kvs[i] = attribute.String(f.Labels[i], v)
	}
	return metric.WithAttributes(kvs...)
}
