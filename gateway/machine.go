package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// machine are the metrics of what the gateway stands on: its clock, its disk, and how fast that wears.
type machine struct {
	synced, offset, uncertainty prometheus.Gauge
	steps                       prometheus.Counter
	step                        prometheus.Gauge
	free, size                  prometheus.Gauge
	aDay                        *prometheus.GaugeVec

	growths map[string]*growth // by file
}

// scan looks at the machine.
func (m *machine) scan(now time.Time, h *hub) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err == nil {
		unit := 1e-6
		if t.Status&unix.STA_NANO != 0 {
			unit = 1e-9
		}
		m.synced.Set(float64(number(state != unix.TIME_ERROR)))
		m.offset.Set(float64(t.Offset) * unit)
		m.uncertainty.Set(float64(t.Maxerror) * 1e-6)
	}
	w := h.page.wellness.measured(now, string(h.g.cfg.Data))
	m.free.Set(float64(w.free))
	m.size.Set(float64(w.size))
	for file, total := range h.store.Written() {
		p := m.growths[file]
		if p == nil {
			p = &growth{}
			m.growths[file] = p
		}
		m.aDay.WithLabelValues(file).Set(p.aDay(h.gate.clock.m.mono, total))
	}
}

// stepped notes that the clock was set.
func (m *machine) stepped(by time.Duration) {
	m.steps.Inc()
	m.step.Set(by.Seconds())
}

// growth is how fast something grows, over the last day, or since the start where that is less ago.
type growth struct {
	hours []float64 // what it was at each full hour since the start, the newest last
	hour  int       // of the newest
}

// aDay takes in what it is now, so long after the start, and answers how much it grows a day; 0 in the first minute.
func (p *growth) aDay(since time.Duration, total int64) float64 {
	if hour := int(since / time.Hour); len(p.hours) == 0 || hour > p.hour {
		before := 0.0 // at the start
		if len(p.hours) > 0 {
			before = float64(total)
		}
		p.hours, p.hour = append(p.hours, before), hour
		p.hours = p.hours[max(len(p.hours)-24, 0):]
	}
	over := since - time.Duration(p.hour-len(p.hours)+1)*time.Hour
	if over < time.Minute {
		return 0
	}
	return (float64(total) - p.hours[0]) * float64(24*time.Hour) / float64(over)
}
