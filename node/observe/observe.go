// Package observe turns the parts' own counters into metrics for Prometheus.
//
// Each part has a plain Stats method and knows nothing of metrics; one collector here reads them when it is asked.
// The package has no goroutines and registers nothing globally.
package observe

import (
	"net/http"

	"cairn/storage"
	"cairn/swarm/exchange"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Sources are where the numbers come from. Each is asked once per scrape and must be cheap.
type Sources struct {
	Store     func() storage.Stats
	Exchange  func() exchange.ServerStats
	Meter     func() exchange.Traffic
	Peers     func() int
	Transfers func() int
	Pool      func() int64
}

// Metrics is one collector with its own registry.
type Metrics struct {
	src Sources
	reg *prometheus.Registry
}

// New returns the metrics of one peer.
func New(src Sources, version string) *Metrics {
	m := &Metrics{src: src, reg: prometheus.NewRegistry()}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "cairn_build_info", Help: "Always 1; the label says which version runs.",
		ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.reg.MustRegister(m, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler { return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{}) }

// Describe sends nothing: the collector is unchecked, so that a number is named in one place only.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads all parts.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	put := func(kind prometheus.ValueType, name, help string, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("cairn_"+name, help, nil, nil), kind, v)
	}
	gauge := func(name, help string, v int64) { put(prometheus.GaugeValue, name, help, float64(v)) }
	total := func(name, help string, v int64) { put(prometheus.CounterValue, name, help, float64(v)) }

	s := m.src.Store()
	gauge("store_owned_blocks", "Blocks in owned storage.", s.Blocks)
	gauge("store_owned_bytes", "Bytes of blocks in owned storage.", s.Bytes)
	gauge("store_referenced_files", "User files referenced.", s.Files)
	gauge("store_referenced_bytes", "Bytes of user files referenced.", s.FileBytes)
	gauge("store_free_bytes", "Bytes free on the file system of the store.", s.Free)
	gauge("store_reserve_bytes", "Bytes of it that are never used.", s.Reserve)
	total("store_corrupt_blocks_total", "Damaged blocks found.", s.DamageSeen)

	e := m.src.Exchange()
	gauge("exchange_sessions", "Sessions served now.", int64(e.Sessions))
	total("exchange_accepted_total", "Proofs that were right.", e.Accepted)
	total("exchange_refused_total", "Sessions refused.", e.Refused)
	total("exchange_turned_away_total", "Streams reset because of a limit.", e.Turned)
	total("exchange_violations_total", "Sessions ended because the client broke the protocol.", e.Violations)
	total("exchange_completed_total", "Downloads completed.", e.Completed)
	total("exchange_missing_total", "Leaves and nodes that could not be read.", e.Missing)
	total("exchange_leaves_sent_total", "Leaves sent.", e.LeavesSent)

	t := m.src.Meter()
	total("bytes_sent_total", "Bytes of the block protocol sent.", t.Up)
	total("bytes_received_total", "Bytes of the block protocol received.", t.Down)
	gauge("peers", "Connected peers.", int64(m.src.Peers()))
	gauge("transfers", "Active transfers.", int64(m.src.Transfers()))
	gauge("buffer_bytes", "Bytes of transfer buffers in use.", m.src.Pool())
}
