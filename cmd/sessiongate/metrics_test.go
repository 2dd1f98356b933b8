package main_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// scraped is what Prometheus gets.
type scraped struct {
	g        *gate
	families map[string]*dto.MetricFamily
}

func (g *gate) scrape() scraped {
	g.tb.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(g.adminGet("/metrics").body))
	if err != nil {
		g.tb.Fatal(err)
	}
	return scraped{g, families}
}

// value returns the value of the one series with these labels, given as names and
// values in turn: of a histogram, how many were observed.
func (s scraped) value(name string, labels ...string) float64 {
	s.g.tb.Helper()
	for _, m := range s.families[name].GetMetric() {
		var have []string
		for _, l := range m.GetLabel() {
			have = append(have, l.GetName(), l.GetValue())
		}
		if !slices.Equal(have, labels) {
			continue
		}
		if h := m.GetHistogram(); h != nil {
			return float64(h.GetSampleCount())
		}
		return m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	s.g.tb.Fatalf("no series %s %q", name, labels)
	return 0
}

func TestMetrics(t *testing.T) {
	server := servers.StartRedis(t)
	app := newSite(t, redisAt(server.Addr), session.Config{})
	g := start(t, nil, "-redis", server.Addr, "-level=2", "-login-url=/in")
	first := g.scrape()
	if n := first.value("sessiongate_session_events_total", "kind", "replayed"); n != 0 {
		t.Errorf("replays before anything has happened: %v", n)
	}

	strong := app.signIn("metrics-user-ada", session.SignInOptions{Level: session.AAL2})
	weak := app.signIn("metrics-user-grace", session.SignInOptions{Level: session.AAL1})
	for range 3 {
		want(t, g.auth(strong), http.StatusOK)
	}
	want(t, g.auth(weak), http.StatusForbidden)
	want(t, g.auth(""), http.StatusUnauthorized)
	want(t, g.auth("", "Accept", "text/html", "Sec-Fetch-Mode", "navigate"), http.StatusFound)
	want(t, g.auth(strong[:len(strong)-4]+"AAAA"), http.StatusUnauthorized)
	want(t, ask(t, http.MethodGet, "http://"+g.addr+"/nope"), http.StatusNotFound) // no verdict

	s := g.scrape()
	for _, row := range []struct {
		value  float64
		name   string
		labels []string
	}{
		{3, "sessiongate_requests_total", []string{"code", "200", "verdict", "pass"}},
		{1, "sessiongate_requests_total", []string{"code", "403", "verdict", "level"}},
		{2, "sessiongate_requests_total", []string{"code", "401", "verdict", "session"}},
		{1, "sessiongate_requests_total", []string{"code", "302", "verdict", "session"}},
		{0, "sessiongate_requests_total", []string{"code", "503", "verdict", "unavailable"}},
		{3, "sessiongate_request_duration_seconds", []string{"verdict", "pass"}},
		{3, "sessiongate_request_duration_seconds", []string{"verdict", "session"}},
		{1, "sessiongate_session_events_total", []string{"kind", "rejected_token"}},
		{0, "sessiongate_session_events_total", []string{"kind", "store_error"}},
		{0, "sessiongate_requests_in_flight", nil},
		{0, "sessiongate_reloads_total", []string{"result", "failed"}},
	} {
		if got := s.value(row.name, row.labels...); got != row.value {
			t.Errorf("%s %q is %v, want %v", row.name, row.labels, got, row.value)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "go_build_info"} {
		if s.families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	s.wantNobody(strong[len(cookieName)+1:len(cookieName)+25], "metrics-user")
}

// wantNobody checks that no label has anything of a session or a user, and that
// labels are those which are known to be few.
func (s scraped) wantNobody(secrets ...string) {
	s.g.tb.Helper()
	known := []string{"verdict", "code", "kind", "result"}
	for name, family := range s.families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if strings.HasPrefix(name, "sessiongate_") && !slices.Contains(known, l.GetName()) {
					s.g.tb.Errorf("%s has the label %s", name, l.GetName())
				}
				for _, secret := range secrets {
					if strings.Contains(l.GetValue(), secret) {
						s.g.tb.Errorf("%s tells of %s", name, secret)
					}
				}
			}
		}
	}
}
