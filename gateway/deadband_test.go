package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// Row MB26: what moves less than its deadband is not forwarded, for five minutes at the most.
func TestDeadbandThinsOutWhatIsForwarded(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"what stays within the band is kept back", "0s:20 1s:20.4 2s:19.6 3s:20", "0s:20"},
		{"the band is around what was forwarded, not what was read last", "0s:20 1s:20.4 2s:20.5 3s:20.9 4s:21", "0s:20 2s:20.5 4s:21"},
		{"a slow drift is seen", "0s:20 1s:19.8 2s:19.6 3s:19.4", "0s:20 3s:19.4"},
		{"silence ends after five minutes", "0s:20 299s:20 300s:20 301s:20 600s:20", "0s:20 300s:20 600s:20"},
		{"what turns bad is told, and what it is afterwards", "0s:20 1s:bad 2s:20 3s:20", "0s:20 1s:bad 2s:20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &device{}
			d.signals = []*signal{
				{Signal: &drivers.Signal{ID: "t", Kind: "temperature", Deadband: drivers.Band{Width: 0.5}}, Reading: drivers.Reading{Signal: "d.t"}},
				{Signal: &drivers.Signal{ID: "version", Kind: "text"}, Reading: drivers.Reading{Signal: "d.version"}},
				{Signal: &drivers.Signal{ID: "smoke", Kind: "smoke"}, Reading: drivers.Reading{Signal: "d.smoke"}},
			}
			d.thin = slices.ContainsFunc(d.signals, func(s *signal) bool { return thinned(*s.Signal) })
			var b deadbands
			var got []string
			start := time.Unix(1e9, 0)
			for _, word := range strings.Fields(c.says) {
				at, value, _ := strings.Cut(word, ":")
				after, err := time.ParseDuration(at)
				if err != nil {
					t.Fatal(err)
				}
				r := drivers.Reading{Signal: "d.t", Time: start.Add(after), Reason: drivers.Timeout}
				if value != "bad" {
					r.Quality, r.Reason = drivers.Good, ""
					if _, err := fmt.Sscan(value, &r.Value); err != nil {
						t.Fatal(err)
					}
				}
				batch := []drivers.Reading{r, {Signal: "d.version", Time: r.Time, Quality: drivers.Good, Detail: "V1.2"}, {Signal: "d.smoke", Time: r.Time, Quality: drivers.Good}}
				kept := b.pass(start.Add(after), d, batch)
				if len(kept) == 0 || kept[len(kept)-1].Signal != "d.smoke" || batch[0].Signal != "d.t" {
					t.Errorf("the signal without a deadband is not forwarded: %+v of %+v", kept, batch)
				}
				if len(kept) == 2 {
					got = append(got, word)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("forwarded %s, want %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

// What is kept back from platforms is in live state all the same, and with it before rules and people.
func TestDeadbandKeepsNothingFromTheHub(t *testing.T) {
	now := time.Now()
	dev := drivers.Device{ID: "d", Signals: []drivers.Signal{{ID: "t", Kind: "temperature", Scale: 1, Deadband: drivers.Band{Width: 0.5}}}}
	h := &hub{
		g: &Gateway{metrics: newMetrics("test")}, exercise: &exercise{},
		live: newLive([]*link{{id: "bus", driver: still{dev}}}, now),
		gate: newGate(now, now.Add(-time.Hour), now, slog.New(slog.DiscardHandler)),
	}
	h.gate.look(h.gate.moment(now, true))
	var sent []float64
	h.gate.reading = func(_ time.Time, _ drivers.Device, batch []drivers.Reading) {
		for _, r := range batch {
			if r.Signal == "d.t" {
				sent = append(sent, r.Value)
			}
		}
	}
	for i, value := range []float64{20, 20.3, 20.6} {
		at := now.Add(time.Duration(i) * time.Second)
		h.forward(at, h.live.note(at, []drivers.Reading{{Signal: "d.t", Time: at, Value: value, Quality: drivers.Good}}))
		if got := h.live.signals["d.t"].Value; got != value {
			t.Errorf("live state has %v, want %v", got, value)
		}
	}
	if fmt.Sprint(sent) != "[20 20.6]" {
		t.Errorf("forwarded %v", sent)
	}
}

// still is a driver of one device that never runs.
type still struct{ device drivers.Device }

func (s still) Devices() []drivers.Device                        { return []drivers.Device{s.device} }
func (still) Run(context.Context, func([]drivers.Reading)) error { return nil }
