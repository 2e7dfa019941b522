package influx

import (
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"

	lineprotocol "github.com/influxdata/line-protocol"
)

var noon = time.Unix(1790000000, 123456789).UTC()

// kitchen has a signal of each form in two classes.
func kitchen() drivers.Device {
	return drivers.Device{ID: "kitchen-gas", Zone: "f1-kitchen", Signals: []drivers.Signal{
		{ID: "lel", Kind: "gas_lel"}, {ID: "status", Kind: "status_word"}, {ID: "co", Kind: "co"}, {ID: "valve", Kind: "relay"},
	}}
}

func good(signal string, v float64) drivers.Reading {
	return drivers.Reading{Signal: signal, Time: noon, Value: v, Quality: drivers.Good}
}

// TestSeriesAreAsTheContractSays compares the lines of readings, points and events with testdata/series.txt.
// Rows SF12 and TS01.
func TestSeriesAreAsTheContractSays(t *testing.T) {
	later := good("kitchen-gas.lel", 25)
	later.Time = noon.Add(time.Second)
	bad := good("kitchen-gas.co", 7)
	bad.Quality, bad.Reason = drivers.Bad, drivers.Timeout
	doubtful := good("kitchen-gas.co", 7)
	doubtful.Quality = drivers.Uncertain
	raisedAt, acked, cleared := noon, noon.Add(12500*time.Millisecond), noon.Add(time.Minute)
	lel := 32.5
	a := alarm.Alarm{ID: "A1", Rule: "gas-high", Class: "gas", Level: "alarm", State: alarm.Unacknowledged, Zone: "f1-kitchen",
		Device: "kitchen-gas", Signal: "kitchen-gas.lel", Value: &lel, RaisedAt: raisedAt, Message: "关阀\n\"开窗\", 勿动电器"}
	closed := a
	closed.State, closed.AcknowledgedAt, closed.ClearedAt, closed.Verdict, closed.Drill = alarm.Closed, &acked, &cleared, "false:cooking", true
	sections := []struct {
		name string
		got  func(*memory)
	}{
		{"numbers are float, states and codes integer, one line a class", func(m *memory) {
			m.readings(kitchen(), []drivers.Reading{good("kitchen-gas.lel", 5), good("kitchen-gas.status", 6), good("kitchen-gas.co", 12.25), good("kitchen-gas.valve", 1)})
		}},
		{"a line a time", func(m *memory) {
			m.readings(kitchen(), []drivers.Reading{good("kitchen-gas.lel", 24.9), later})
		}},
		{"what is bad, not finite, of no time or not of the device is left out", func(m *memory) {
			m.readings(kitchen(), []drivers.Reading{good("kitchen-gas.lel", math.NaN()), bad, good("kitchen-gas.status", math.Inf(1)),
				good("other.lel", 1), {Signal: "kitchen-gas.lel", Value: 1, Quality: drivers.Good}})
		}},
		{"a doubtful value is a value", func(m *memory) { m.readings(kitchen(), []drivers.Reading{doubtful}) }},
		{"numbers never look like integers", func(m *memory) {
			for _, v := range []float64{0, -1, 1e6, 1e21, 1e-9, 0.1, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
				m.readings(kitchen(), []drivers.Reading{good("kitchen-gas.lel", v)})
			}
		}},
		{"a device without a zone has no zone tag", func(m *memory) {
			d := kitchen()
			d.Zone = ""
			m.readings(d, []drivers.Reading{good("kitchen-gas.co", 3)})
		}},
		{"points of the gateway", func(m *memory) {
			m.point(Point{Measurement: "health", Tags: [][2]string{{"site", "zb-1"}, {"region", "370305"}, {"zone", "f1"}, {"device", "d"}}, Time: noon,
				Fields: []Field{Integer("online", 0), Integer("bad", 3), String("reason", "timeout")}})
			m.point(Point{Measurement: "gateway", Time: noon, Fields: []Field{Float("uptime_s", math.NaN())}})
			m.point(Point{Measurement: "gateway", Time: noon, Fields: []Field{Float("uptime_s", math.NaN()), Float("coverage", 1)}})
		}},
		{"names and words that need escapes", func(m *memory) {
			m.point(Point{Measurement: "a b,c=d", Tags: [][2]string{{"k 1", "v,2=3\\\n"}, {"empty", ""}}, Time: noon,
				Fields: []Field{String("f,1", `say "hi" \ bye`+"\nline two"), Integer("n", math.MinInt64)}})
		}},
		{"an alarm is raised, and closed as a drill", func(m *memory) {
			for _, e := range []alarm.Event{{Seq: 41, ID: "A1/1", Time: noon, Type: "alarm.raised", Alarm: &a},
				{Seq: 42, ID: "A1/2", Time: noon, Type: "alarm.closed", Alarm: &closed, By: "zhang"}, {Seq: 43, Type: "test", Time: noon}} {
				m.growing().lines = appendEvent(m.growing().lines, "zb-1", "370305", e)
			}
		}},
	}
	var got strings.Builder
	for _, s := range sections {
		var m memory
		m.open("zb-1", "370305")
		s.got(&m)
		got.WriteString("# " + s.name + "\n")
		for _, g := range m.take() {
			got.Write(g.lines)
		}
	}
	want, err := os.ReadFile("testdata/series.txt")
	if os.Getenv("GOLDEN") != "" {
		err = os.WriteFile("testdata/series.txt", []byte(got.String()), 0o644)
		want = []byte(got.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		var x, y string
		if i < len(g) {
			x = g[i]
		}
		if i < len(w) {
			y = w[i]
		}
		if x != y {
			t.Errorf("line %d\n got %s\nwant %s", i+1, x, y)
		}
	}
}

// TestTwoEventsOfOneInstantStayTwoPoints: the same series and time would overwrite each other.
func TestTwoEventsOfOneInstantStayTwoPoints(t *testing.T) {
	a := alarm.Alarm{ID: "A", Rule: "r", RaisedAt: noon}
	first := string(appendEvent(nil, "s", "", alarm.Event{Seq: 7, Time: noon, Type: "alarm.reset", Alarm: &a}))
	second := string(appendEvent(nil, "s", "", alarm.Event{Seq: 8, Time: noon, Type: "alarm.closed", Alarm: &a}))
	again := string(appendEvent(nil, "s", "", alarm.Event{Seq: 8, Time: noon, Type: "alarm.closed", Alarm: &a}))
	stamp := func(l string) string { return l[strings.LastIndex(l, " "):] }
	if stamp(first) == stamp(second) || second != again {
		t.Errorf("times %s %s, repeat %q", stamp(first), stamp(second), again)
	}
}

// TestOneFieldHasOneTypeForAllDevices: a number and a code of one name and class cannot both be stored.
// Row SF12.
func TestOneFieldHasOneTypeForAllDevices(t *testing.T) {
	root := conf.Parse("c.yaml", []byte("a: {id: a}\nb: {id: b}\nc: {id: c}\n"), conf.Environment{})
	device := func(id, kind string) drivers.Device {
		return drivers.Device{ID: id, Signals: []drivers.Signal{{ID: "level", Kind: kind}}, Section: root.At(id)}
	}
	CheckFields([]drivers.Device{device("a", "battery"), device("b", "state"), device("c", "water_level")})
	problems := root.Problems()
	if len(problems) != 1 || problems[0].Key != "b" || !strings.Contains(problems[0].What.String(), "signal level") {
		t.Errorf("problems: %v", problems)
	}
}

// FuzzPoint: whatever the names and words, a point is one line that the parser of another author reads back.
// Row SF12.
func FuzzPoint(f *testing.F) {
	f.Add("fire", "zone", "f1 厨房", "reason", `time"out\`, 1.5)
	f.Add("#m", "a=b", "c,d\\", "x y", "line\nbreak\t", math.Inf(-1))
	f.Add("m", "t", "\xff\x00", "f", "\xc3\x28", math.Copysign(0, -1))
	f.Add("", "", "", "", "", 1e308)
	f.Fuzz(func(t *testing.T, measurement, tag, tagValue, field, words string, number float64) {
		line := appendPoint(nil, Point{Measurement: measurement, Tags: [][2]string{{tag, tagValue}, {"site", "s"}}, Time: noon,
			Fields: []Field{String(field, words), Float("number", number), Integer("n", 1)}})
		if strings.Count(string(line), "\n") != 1 || !utf8.Valid(line) {
			t.Fatalf("not one line of text: %q", line)
		}
		metrics, err := lineprotocol.NewParser(lineprotocol.NewMetricHandler()).Parse(line)
		if err != nil || len(metrics) != 1 {
			t.Fatalf("%q: %d points, %v", line, len(metrics), err)
		}
		m := metrics[0]
		if !m.Time().Equal(noon) {
			t.Errorf("%q: time %s", line, m.Time())
		}
		fields := map[string]any{}
		for _, field := range m.FieldList() {
			fields[field.Key] = field.Value
		}
		if field == "n" || field == "number" {
			return
		}
		if fields["n"] != int64(1) {
			t.Errorf("%q: n is %v", line, fields["n"])
		}
		if v, ok := fields["number"]; ok != finite(number) || ok && v != number {
			t.Errorf("%q: number is %v, want %v", line, v, number)
		}
		clean := strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(words, "\ufffd"))
		if field != "" && utf8.ValidString(words) && len(words) < maxText && plain(field) && fields[field] != clean {
			t.Errorf("%q: words %q, want %q", line, fields[field], clean)
		}
	})
}

// plain tells whether a name goes through the protocol unchanged.
func plain(name string) bool {
	for _, r := range name {
		if r <= ' ' || r == 0x7f || r == '\\' || r == utf8.RuneError {
			return false
		}
	}
	return name != "" && name[0] != '#' && utf8.ValidString(name)
}

// FuzzAnswer: no body of an answer can do harm.
func FuzzAnswer(f *testing.F) {
	f.Add(400, []byte(`{"error":"partial write of line protocol occurred","data":[{"line_number":2,"error_message":"x"}]}`), "7")
	f.Add(422, []byte(`{"code":"unprocessable entity","message":"partial write: dropped=99999999999999999999"}`), "Mon, 02 Jan 2006 15:04:05 GMT")
	f.Add(503, []byte(`<html>`), "-1")
	f.Fuzz(func(t *testing.T, status int, body []byte, after string) {
		r := sort(status, map[string][]string{"Retry-After": {after}}, body)
		if r.after < 0 || r.after > maxWait || r.Error() == "" {
			t.Errorf("%+v", r)
		}
	})
}

// BenchmarkReadings is the cost of 50 values of one poll, and reports the bytes of a value after gzip.
func BenchmarkReadings(b *testing.B) {
	var d drivers.Device
	d.ID, d.Zone = "meter-12", "f1-kitchen"
	var batch []drivers.Reading
	for i := range 50 {
		s := drivers.Signal{ID: "v" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Kind: "voltage"}
		d.Signals = append(d.Signals, s)
		batch = append(batch, good(d.Key(s), 0))
	}
	var m memory
	m.open("zb-linzi-0007", "370305")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		for i := range batch {
			batch[i].Time = noon.Add(time.Duration(n) * time.Second)
			batch[i].Value = 220 + float64((n*(i+7))%61)/10 // 220.0 … 226.0 V
		}
		m.readings(d, batch)
		if n%100 == 0 {
			for _, g := range m.take() {
				m.reuse(g.lines)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*len(batch)), "ns/value")
	m.take()
	for range 20 { // one second of 20 such devices
		m.readings(d, batch)
		for i := range batch {
			batch[i].Value += 0.3
		}
	}
	g := m.take()[0]
	b.ReportMetric(float64(len(g.lines))/1000, "B/value")
	b.ReportMetric(float64(len(newCompressor().compress(g.lines)))/1000, "gzip-B/value")
}
