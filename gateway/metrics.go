package gateway

import (
	"net/http"
	"runtime"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink/influx"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are those of the contract, section 8, in a registry of their own.
type metrics struct {
	registry    *prometheus.Registry
	up          *prometheus.GaugeVec
	polls       *prometheus.HistogramVec
	errors      *prometheus.CounterVec
	overruns    *prometheus.CounterVec
	busy        *prometheus.GaugeVec
	readings    *prometheus.CounterVec
	byQuality   [3]prometheus.Counter
	evaluations prometheus.Counter
	open        *prometheus.GaugeVec
	alarmTime   prometheus.Histogram
	delivery    *prometheus.HistogramVec
	notes       *prometheus.CounterVec
	queued      *prometheus.GaugeVec
	queueBytes  *prometheus.GaugeVec
	queueAge    *prometheus.GaugeVec
	dropped     *prometheus.CounterVec
	written     *prometheus.CounterVec
	batches     *prometheus.CounterVec
	refused     *prometheus.CounterVec
	retried     *prometheus.CounterVec
	clock       prometheus.Gauge
	machine     machine

	notices notices

	alarms  map[[2]string]int // open ones by class and level, at the last scan
	counted map[string]int64  // by advance
}

func newMetrics(version string) *metrics {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "embergate_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "embergate_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "embergate_" + name, Help: help, Buckets: buckets}, labels)
		r.MustRegister(v)
		return v
	}
	wait := []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	m := &metrics{
		registry:    r,
		up:          gauge("device_up", "1 while the device answers.", "device"),
		polls:       histogram("poll_duration_seconds", "Time of one poll of one device.", wait, "endpoint"),
		errors:      counter("poll_errors_total", "Frames and payloads that gave no reading.", "device", "reason"),
		overruns:    counter("poll_overruns_total", "Polls skipped because the wire was busy.", "endpoint"),
		busy:        gauge("bus_utilisation_ratio", "Share of time that the wire was in use lately.", "endpoint"),
		readings:    counter("readings_total", "Readings taken in.", "quality"),
		evaluations: counter("rule_evaluations_total", "Conditions evaluated.").WithLabelValues(),
		open:        gauge("alarms_open", "Alarms that are not closed.", "class", "level"),
		counted:     map[string]int64{},
		delivery:    histogram("delivery_latency_seconds", "From the sample to the accepted delivery.", wait, "channel"),
		notes:       counter("notifications_total", "Attempts to deliver a notification.", "channel", "outcome"),
		queued:      gauge("queue_records", "Records that wait.", "queue"),
		queueBytes:  gauge("queue_bytes", "Bytes on disk of what waits.", "queue"),
		queueAge:    gauge("queue_oldest_seconds", "Age of the oldest record that waits.", "queue"),
		dropped:     counter("queue_dropped_total", "Records given up because the queue was full.", "queue"),
		written:     counter("store_written_bytes_total", "Bytes written to the database.", "file"),
		batches:     counter("uplink_batches_total", "Batches sent to a platform.", "uplink", "outcome"),
		refused:     counter("uplink_refused_total", "Lines that a platform refused, kept as dead letters.", "uplink"),
		clock:       gauge("clock_ok", "1 while the clock is synchronised and can be right.").WithLabelValues(),
	}
	m.retried = counter("queue_retried_total", "Batches and messages sent again, since the far side did not take them.", "queue")
	m.machine = machine{
		synced:      gauge("clock_synced", "1 while the kernel counts the clock as synchronised.").WithLabelValues(),
		offset:      gauge("clock_offset_seconds", "What the kernel still has to trim off the clock, as adjtimex says.").WithLabelValues(),
		uncertainty: gauge("clock_error_seconds", "By how much the clock may be wrong, as adjtimex says.").WithLabelValues(),
		steps:       counter("clock_steps_total", "How often the clock was set, by a second or more.").WithLabelValues(),
		step:        gauge("clock_last_step_seconds", "By how much it was set the last time; back is less than 0.").WithLabelValues(),
		free:        gauge("disk_free_bytes", "Free where the state is kept, for a user that is not root.").WithLabelValues(),
		size:        gauge("disk_size_bytes", "Size of the disk where the state is kept.").WithLabelValues(),
		aDay:        gauge("store_written_day_bytes", "Bytes written to the database a day, at the pace of the last 24 hours or since the start.", "file"),
		growths:     map[string]*growth{},
	}
	m.alarmTime = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "embergate_alarm_latency_seconds", Help: "From the sample to the event in the journal.", Buckets: wait,
	})
	build := gauge("build_info", "Always 1; the labels tell what runs.", "version", "goversion", "series_schema")
	build.WithLabelValues(version, runtime.Version(), influx.Schema).Set(1)
	r.MustRegister(m.alarmTime, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for q := drivers.Bad; q <= drivers.Good; q++ {
		m.byQuality[q] = m.readings.WithLabelValues(q.String())
	}
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// count counts the readings of a batch.
func (m *metrics) count(batch []drivers.Reading) {
	var counts [drivers.Good + 1]int
	for i := range batch {
		counts[min(batch[i].Quality, drivers.Good)]++
	}
	for quality, n := range counts {
		if n > 0 {
			m.byQuality[quality].Add(float64(n))
		}
	}
}

// event observes how long an alarm took from its sample to the journal.
func (m *metrics) event(e alarm.Event, sample, now time.Time) {
	if e.Type == "alarm.raised" && !sample.IsZero() {
		m.alarmTime.Observe(max(now.Sub(sample), 0).Seconds())
	}
}

// scan sets what is looked at rather than counted: which devices answer, open alarms, queues, files, clock.
func (m *metrics) scan(now time.Time, h *hub) {
	for _, d := range h.live.devices {
		m.up.WithLabelValues(d.ID).Set(float64(number(d.online.Quality == drivers.Good && d.online.Value == 1)))
	}
	open := map[[2]string]int{}
	for labels := range m.alarms {
		open[labels] = 0 // what is no longer open is 0, not gone
	}
	for _, a := range h.board.Open() {
		open[[2]string{string(a.Class), string(a.Level)}]++
	}
	for labels, n := range open {
		m.open.WithLabelValues(labels[0], labels[1]).Set(float64(n))
	}
	m.alarms = open
	for _, u := range h.g.uplinks {
		id, st := u.id, h.backlog(u)
		m.queued.WithLabelValues(id).Set(float64(st.Records))
		m.queueBytes.WithLabelValues(id).Set(float64(st.Bytes))
		age := 0.0
		if !st.Oldest.IsZero() {
			age = now.Sub(st.Oldest).Seconds()
		}
		m.queueAge.WithLabelValues(id).Set(age)
		m.advance(m.dropped.WithLabelValues(id), "dropped "+id, st.Dropped)
	}
	for _, u := range h.g.uplinks {
		m.advance(m.dropped.WithLabelValues(u.id), "dropped before "+u.id, u.Status().Dropped) // neither disk nor memory had room
		m.advance(m.refused.WithLabelValues(u.id), "refused "+u.id, u.Status().Rejected)
	}
	for file, n := range h.store.Written() {
		m.advance(m.written.WithLabelValues(file), "written "+file, n)
	}
	m.clock.Set(float64(number(h.gate.clock.ok())))
	m.machine.scan(now, h)
}

// uplink counts what became of each batch of an uplink.
func (m *metrics) uplink(id string) func(outcome string) {
	again := m.retried.WithLabelValues(id)
	return func(outcome string) {
		m.batches.WithLabelValues(id, outcome).Inc()
		if outcome == "retry" {
			again.Inc()
		}
	}
}

// advance brings a counter to what somebody else has counted.
func (m *metrics) advance(c prometheus.Counter, key string, count int64) {
	if d := count - m.counted[key]; d > 0 {
		c.Add(float64(d))
		m.counted[key] = count
	}
}

// notified observes one attempt of a channel.
func (m *metrics) notified(channel, outcome string, latency time.Duration) {
	m.notes.WithLabelValues(channel, outcome).Inc()
	if outcome == "accepted" {
		m.delivery.WithLabelValues(channel).Observe(latency.Seconds())
	}
}

// monitor counts what a driver sees on one endpoint.
func (m *metrics) monitor(endpoint string) drivers.Monitor {
	return &monitor{
		polls: m.polls.WithLabelValues(endpoint), overruns: m.overruns.WithLabelValues(endpoint),
		busy: m.busy.WithLabelValues(endpoint), errors: m.errors, endpoint: endpoint, notices: &m.notices,
	}
}

type monitor struct {
	polls    prometheus.Observer
	overruns prometheus.Counter
	busy     prometheus.Gauge
	errors   *prometheus.CounterVec
	endpoint string
	notices  *notices
}

func (m *monitor) Polled(took time.Duration) { m.polls.Observe(took.Seconds()) }
func (m *monitor) Overrun(string)            { m.overruns.Inc() }
func (m *monitor) Busy(ratio float64) {
	m.busy.Set(ratio)
	m.notices.busy(m.endpoint, ratio)
}
func (m *monitor) Malformed(device string, reason drivers.Reason, _ string) {
	m.errors.WithLabelValues(device, string(reason)).Inc()
}
func (m *monitor) Unclaimed(topic, profile string) { m.notices.unclaimedAt(m.endpoint, topic, profile) }
func (m *monitor) Expiring(certificate string, until time.Time) {
	m.notices.expiringAt(m.endpoint, certificate, until)
}
