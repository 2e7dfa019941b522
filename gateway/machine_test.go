package gateway

import (
	"slices"
	"testing"
	"time"
)

// gauged are the metrics of the gateway by name and first label.
func gauged(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, one := range f.Metric {
			name := f.GetName()
			if len(one.Label) > 0 {
				name += " " + one.Label[0].GetValue()
			}
			all[name] = one.GetGauge().GetValue() + one.GetCounter().GetValue()
		}
	}
	return all
}

// TestTheMachineIsMeasured: clock, steps, disk, and bytes written a day are metrics.
// Rows OB05 and OB06.
func TestTheMachineIsMeasured(t *testing.T) {
	h := idle(t, newScript(), clockHome)
	now := time.Now()
	h.g.cfg.Data = "/"
	h.housekeep(now)
	h.gate.started = h.gate.started.Add(-90 * time.Second) // to the clock that only runs on, 90 s more went by
	h.watchClock(now.Add(time.Second), false)
	m := h.g.metrics
	m.machine.growths["state.db"] = &growth{hours: []float64{0}}
	m.scan(now, h)
	got := gauged(t, m)
	for _, name := range []string{"clock_ok", "clock_synced", "clock_offset_seconds", "clock_error_seconds", "clock_steps_total", "clock_last_step_seconds",
		"disk_free_bytes", "disk_size_bytes", "store_written_day_bytes state.db", "store_written_day_bytes series.db", "store_written_bytes_total state.db"} {
		if _, ok := got["embergate_"+name]; !ok {
			t.Errorf("no metric %s", name)
		}
	}
	if got["embergate_disk_free_bytes"] <= 0 || got["embergate_disk_size_bytes"] <= got["embergate_disk_free_bytes"] {
		t.Errorf("disk: %v of %v", got["embergate_disk_free_bytes"], got["embergate_disk_size_bytes"])
	}
	if n, by := got["embergate_clock_steps_total"], got["embergate_clock_last_step_seconds"]; n != 1 || by > -89 || by < -91 {
		t.Errorf("%v steps, the last by %v s", n, by)
	}
}

// TestWhatIsWrittenADay is a pace: over the last day, or since the start where that is less.
// Row OB06.
func TestWhatIsWrittenADay(t *testing.T) {
	var p growth
	var total int64
	want := map[time.Duration]float64{0: 0, time.Minute: 24000, time.Hour: 24000, 20 * time.Hour: 24000,
		40 * time.Hour: 48000, 72 * time.Hour: 48000} // from the 24th hour on twice as much
	for since := time.Duration(0); since <= 72*time.Hour; since += time.Minute {
		if total = int64(since / time.Minute * 1000 / 60); since > 16*time.Hour {
			total = int64(16*1000 + (since-16*time.Hour)/time.Minute*2000/60)
		}
		got := p.aDay(since, total)
		if w, ask := want[since]; ask && (got < w*0.8 || got > w*1.2) {
			t.Errorf("after %v: %v a day, want about %v", since, got, w)
		}
	}
	if len(p.hours) != 24 || !slices.IsSorted(p.hours) {
		t.Errorf("%v", p.hours)
	}
}

// TestWhatIsSentAgainIsCounted is the last of the metrics that row SF14 names: queue bytes, oldest age, dropped, retried.
func TestWhatIsSentAgainIsCounted(t *testing.T) {
	m := newMetrics("test")
	sent := m.uplink("platform")
	if got := gauged(t, m); got["embergate_queue_retried_total platform"] != 0 {
		t.Error(got)
	}
	for _, outcome := range []string{"accepted", "retry", "hold", "retry"} {
		sent(outcome)
	}
	if got := gauged(t, m)["embergate_queue_retried_total platform"]; got != 2 {
		t.Errorf("sent again %v times, want 2", got)
	}
}
