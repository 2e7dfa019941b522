package mqtt

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decodeCase is one case of testdata/decode.yaml.
type decodeCase struct {
	Name      string            `yaml:"name"`
	Signals   []conf.Section    `yaml:"signals"`
	Below     string            `yaml:"below"`
	Payload   string            `yaml:"payload"`
	Want      map[string]string `yaml:"want"`
	Malformed string            `yaml:"malformed"`
}

func decodeCases(t testing.TB) []decodeCase {
	root, err := conf.Load("testdata/decode.yaml", conf.OS())
	if err != nil {
		t.Fatal(err)
	}
	var cases []decodeCase
	for _, item := range root.Items() {
		var c decodeCase
		item.Decode(&c)
		cases = append(cases, c)
	}
	if p := root.Problems(); p != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), p)
	}
	return cases
}

func TestDecode(t *testing.T) {
	for _, c := range decodeCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			readings, err := Decode(drivers.DecodeSignals(c.Signals), c.Below, []byte(c.Payload), noon)
			if c.Malformed == "" && err != nil || c.Malformed != "" && (err == nil || err.Error() != c.Malformed) {
				t.Errorf("error %v, want %q", err, c.Malformed)
			}
			if len(readings) != len(c.Want) {
				t.Errorf("%d readings, want %d: %v", len(readings), len(c.Want), readings)
			}
			for _, r := range readings {
				want, ok := c.Want[r.Signal]
				if !ok {
					t.Errorf("unwanted reading %+v", r)
				}
				checkReading(t, r, want)
			}
		})
	}
}

// checkReading compares with a number, or the reason of a bad reading.
func checkReading(t *testing.T, r drivers.Reading, want string) {
	t.Helper()
	if !r.Time.Equal(noon) || len(r.Raw) == 0 && r.Detail == "" {
		t.Errorf("%s: time %v, raw %q, detail %q", r.Signal, r.Time, r.Raw, r.Detail)
	}
	if n, err := number(want); err == nil {
		if r.Quality != drivers.Good || r.Reason != "" || math.Abs(r.Value-n) > 1e-9 {
			t.Errorf("%s: %v %s %s (%s), want %s", r.Signal, r.Value, r.Quality, r.Reason, r.Detail, want)
		}
		return
	}
	if r.Quality != drivers.Bad || string(r.Reason) != want || r.Detail == "" || r.Value != 0 {
		t.Errorf("%s: %v %s %s (%s), want bad %s with its detail", r.Signal, r.Value, r.Quality, r.Reason, r.Detail, want)
	}
}

func TestDecodeRefusesWhatIsTooMuch(t *testing.T) {
	signals := []drivers.Signal{{ID: "smoke", Kind: "smoke", JSON: "smoke", Scale: 1}}
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"a payload of 256 KiB":          {`{"smoke":true,"pad":"` + strings.Repeat("x", maxPayload-23) + `"}`, nil},
		"a payload beyond 256 KiB":      {`{"smoke":true,"pad":"` + strings.Repeat("x", maxPayload-22) + `"}`, errTooLarge},
		"nesting that would fill RAM":   {strings.Repeat("[", maxPayload), errTooDeep},
		"as deep as it may be":          {`{"smoke":true,"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`, nil},
		"brackets in a string are text": {`{"smoke":true,"a":"\"` + strings.Repeat("[", 1000) + `"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			readings, err := Decode(signals, "", []byte(c.payload), noon)
			if err != c.want || (err == nil) != (len(readings) == 1) {
				t.Errorf("%v, %v; want %v", readings, err, c.want)
			}
		})
	}
}

func TestDetailIsShortAndPrintable(t *testing.T) {
	signals := []drivers.Signal{{ID: "t", Kind: "temperature", JSON: "t", Scale: 1}}
	readings, err := Decode(signals, "", []byte(`{"t":"\u001b[2J`+strings.Repeat("烟", 100)+`"}`), noon)
	if err != nil || len(readings) != 1 {
		t.Fatal(readings, err)
	}
	if d := readings[0].Detail; !strings.HasPrefix(d, `"\x1b[2J烟烟`) || len(d) > 120 {
		t.Errorf("detail %q", d)
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases(f) {
		f.Add(c.Payload, c.Below)
	}
	f.Add(`{"smoke":`+strings.Repeat("[", 100), "")
	var signals []drivers.Signal
	for _, c := range decodeCases(f) {
		signals = append(signals, drivers.DecodeSignals(c.Signals)...)
	}
	f.Fuzz(func(t *testing.T, payload, below string) {
		readings, err := Decode(signals, below, []byte(payload), noon)
		for _, r := range readings {
			switch {
			case r.Quality == drivers.Good && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || r.Reason != ""):
				t.Errorf("%q: good reading %+v", payload, r)
			case r.Quality == drivers.Bad && (r.Value != 0 || r.Reason == "" || r.Detail == ""):
				t.Errorf("%q: bad reading %+v", payload, r)
			case len(r.Detail) > 500 || len(r.Raw) > 256:
				t.Errorf("%q: reading keeps too much: %+v", payload, r)
			}
		}
		if err == nil && below == "" && len(readings) > 0 && !json.Valid([]byte(strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(payload, "\uFEFF")), "\uFEFF"))) {
			t.Errorf("%q: readings of what is no JSON: %v", payload, readings)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	payload := []byte(`{"battery":100,"battery_low":false,"linkquality":134,"smoke":false,"tamper":false,"test":false,"supervision_reports":true,"restore_reports":true,"trouble":false,"ac_status":false,"battery_defect":false}`)
	signals := []drivers.Signal{
		{ID: "smoke", Kind: "smoke", JSON: "smoke", Scale: 1}, {ID: "battery", Kind: "battery", JSON: "battery", Scale: 1},
		{ID: "tamper", Kind: "tamper", JSON: "tamper", Scale: 1}, {ID: "test", Kind: "test", JSON: "test", Scale: 1},
	}
	b.ReportAllocs()
	for b.Loop() {
		if readings, err := Decode(signals, "", payload, noon); err != nil || len(readings) != 4 {
			b.Fatal(readings, err)
		}
	}
}
