package gateway

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"embergate/gateway/alarm"
	"embergate/gateway/uplink/influx"
)

// seriesSchema is what a measurement may have.
type seriesSchema struct {
	tags   []string
	fields map[string]string // type by name; "*" are signals
}

func readSchema(t *testing.T) map[string]seriesSchema {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/schema-%s.txt", influx.Schema))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]seriesSchema{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "|")
		s := seriesSchema{append(strings.Fields(columns[1]), "site", "region"), map[string]string{}}
		for _, f := range strings.Fields(columns[2]) {
			name, kind, _ := strings.Cut(f, ":")
			s.fields[name] = kind
		}
		all[strings.TrimSpace(columns[0])] = s
	}
	return all
}

// parsedLine is a line of line protocol without escapes in its names.
type parsedLine struct {
	series      string // measurement and tags as they stand
	measurement string
	tags        map[string]string
	fields      map[string]string // type by name
}

func parseLine(line string) parsedLine {
	series, rest, _ := strings.Cut(line, " ")
	names := strings.Split(series, ",")
	p := parsedLine{series: series, measurement: names[0], tags: map[string]string{}, fields: map[string]string{}}
	for _, pair := range names[1:] {
		key, value, _ := strings.Cut(pair, "=")
		p.tags[key] = value
	}
	for rest != "" && rest[0] != ' ' {
		name, value, _ := strings.Cut(strings.TrimPrefix(rest, ","), "=")
		kind, n := "string", 0
		if value[0] == '"' {
			for n = 1; value[n] != '"'; n++ {
				if value[n] == '\\' {
					n++
				}
			}
			n++
		} else if n = strings.IndexAny(value, ", "); value[n-1] == 'i' {
			kind = "integer"
		} else {
			kind = "float"
		}
		p.fields[name], rest = kind, value[n:]
	}
	return p
}

// linesAt is a platform, and the lines that it was sent.
func linesAt(t *testing.T) (url string, lines func() []string) {
	var mu sync.Mutex
	var got []string
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if z, err := gzip.NewReader(r.Body); err == nil {
			body, _ := io.ReadAll(z)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, strings.Split(strings.TrimSpace(string(body)), "\n")...)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(platform.Close)
	return platform.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
}

const manySeries = `
site: {id: home, name: home, region: "370305", language: en}
data: %s
zones: [{id: kitchen}, {id: hall}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: gas, zone: kitchen, every: 1h, signals: [{id: lel, kind: gas_lel}, {id: valve, kind: relay, writable: true}]}
      - {id: smoke, zone: hall, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: meter, every: 1h, signals: [{id: v, kind: voltage}, {id: humidity, kind: humidity}]}
rules:
  packs: []
  inline:
    - {id: high, class: gas, level: alarm, signal: gas.lel, when: value >= 25.0, message: "{value}"}
    - {id: fire, class: fire, level: alarm, signal: smoke.smoke, when: value == 1.0}
uplinks: [{id: platform, influxdb: {url: %q, bucket: b}}]
`

// TestTheSeriesAreThoseOfTheSchema: whatever is sent is in the schema of this version, and how many series there are is a
// matter of the configuration: other values, people and texts make no further one.
// Row TS01.
func TestTheSeriesAreThoseOfTheSchema(t *testing.T) {
	url, lines := linesAt(t)
	s, dir := newScript(), t.TempDir()
	h := startConfig(t, s, dir, fmt.Sprintf(manySeries, dir, url))
	h.user("boss", "admin")
	h.user("chen", "duty")
	round := func(n int) {
		for i, signal := range []string{"gas.lel", "gas.valve", "smoke.smoke", "meter.v", "meter.humidity"} {
			s.reads(signal, []float64{30 + float64(n)/7, 1, 1, 220 + float64(n), float64(n) / 3}[i])
		}
		h.alarms("fire unacknowledged, high unacknowledged")
		var open []alarm.Alarm
		for h.get("/api/v1/alarms", &open); len(open) > 0; open = open[1:] {
			h.does("/api/v1/alarms/"+open[0].ID+"/ack", fmt.Sprintf(`{"by":"person %d","note":"text %d"}`, n, n))
		}
		s.reads("gas.lel", float64(n))
		s.reads("smoke.smoke", 0)
		h.alarms("")
		h.does("/api/v1/duty/handover", fmt.Sprintf(`{"by":"person %d","second":"chen","second_password":"correct horse","note":"shift %d"}`, n, n))
	}
	series := func() map[string]bool {
		all := map[string]bool{}
		for _, l := range lines() {
			all[parseLine(l).series] = true
		}
		return all
	}
	closed := func(n int) func() bool {
		return func() bool {
			count := 0
			for _, l := range lines() {
				if strings.HasPrefix(l, "alarm,") && strings.Contains(l, `event="alarm.closed"`) {
					count++
				}
			}
			return count == 2*n
		}
	}
	round(1)
	eventually(t, "the events of one round are sent", closed(1))
	eventually(t, "the readings of one round are sent", func() bool { return len(series()) == 13 })
	first := series()
	for n := 2; n <= 4; n++ {
		round(n)
	}
	eventually(t, "the events of all rounds are sent", closed(4))
	if all := series(); len(all) != len(first) {
		t.Errorf("%d series after one round, %d after four: %v", len(first), len(all), all)
	}
	// Of the configuration: gas (gas, device), smoke, meter (electrical, environment); the health of three devices; an alarm
	// for each rule and source; gateway, site and duty.
	if want := 5 + 3 + 2 + 3; len(first) != want {
		t.Errorf("%d series, want %d: %v", len(first), want, first)
	}
	wantSchema(t, lines())
}

// wantSchema holds lines against the schema.
func wantSchema(t *testing.T, lines []string) {
	t.Helper()
	schema, seen := readSchema(t), map[string]bool{}
	for _, l := range lines {
		p := parseLine(l)
		s, known := schema[p.measurement]
		if !known {
			t.Errorf("measurement of no schema: %s", l)
			continue
		}
		seen[p.measurement] = true
		for tag := range p.tags {
			if !slices.Contains(s.tags, tag) {
				t.Errorf("tag %s: %s", tag, l)
			}
		}
		for name, kind := range p.fields {
			_, signals := s.fields["*"]
			if signals && kind == "string" || !signals && s.fields[name] != kind {
				t.Errorf("field %s is %s, in the schema %q: %s", name, kind, s.fields[name], l)
			}
		}
	}
	for _, m := range []string{"fire", "gas", "electrical", "environment", "device", "health", "alarm", "gateway", "site", "duty"} {
		if !seen[m] {
			t.Errorf("no line of %s", m)
		}
	}
}
