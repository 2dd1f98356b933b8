package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/updateage/session"
)

// metrics are what /metrics shows. No label has anything of a user or a session:
// there would be as many series as sessions, and whoever reads metrics would know
// who is there.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	events    *prometheus.CounterVec
	reloads   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sessiongate_requests_total", Help: "Requests by verdict and status code.",
		}, []string{"verdict", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sessiongate_request_duration_seconds", Help: "Time until the verdict.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"verdict"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sessiongate_requests_in_flight", Help: "Requests without a verdict yet.",
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sessiongate_session_events_total", Help: "Session events by kind.",
		}, []string{"kind"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sessiongate_reloads_total", Help: "Readings of the key files after SIGHUP by result.",
		}, []string{"result"}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.inFlight, m.events, m.reloads,
		collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.beginAtZero()
	return m
}

// beginAtZero makes series appear before anything has happened: of one that
// appears with its first event, rate() never sees that event.
func (m *metrics) beginAtZero() {
	for kind := session.EventCreated; kind <= session.EventStoreError; kind++ {
		m.events.WithLabelValues(label(kind))
	}
	for _, result := range []string{"ok", "failed"} {
		m.reloads.WithLabelValues(result)
	}
	for verdict, code := range map[string]string{"pass": "200", "session": "401", "unavailable": "503", "canceled": "499"} {
		m.requests.WithLabelValues(verdict, code)
		m.durations.WithLabelValues(verdict)
	}
}

func (m *metrics) verdict(verdict string, status int, took time.Duration) {
	m.requests.WithLabelValues(verdict, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(verdict).Observe(took.Seconds())
}

// event is session.Config.OnEvent.
func (m *metrics) event(_ context.Context, e session.Event) {
	m.events.WithLabelValues(label(e.Kind)).Inc()
}

// label is a kind of event as the value of a label.
func label(kind session.EventKind) string { return strings.ReplaceAll(kind.String(), " ", "_") }

// printer is the logger that promhttp wants.
type printer struct{ *slog.Logger }

// Println logs what promhttp has to say.
func (p printer) Println(v ...any) { p.Warn("metrics", "message", fmt.Sprint(v...)) }
