package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"

	"github.com/coreos/go-systemd/v22/daemon"
)

// hub is the one goroutine that owns live state: what was read, what the rules make of it, which alarms are open. Drivers
// hand it batches, people's acts reach it as closures, and it wakes on its own timers, so that a delay ends and a silent
// sensor is noticed without a new reading. Nothing it waits for is slower than a commit to the local disk.
type hub struct {
	g      *Gateway
	store  *store.Store
	away   error // why the store is not in the state directory; nil where it is
	outbox *outbox
	log    *slog.Logger
	in     chan []drivers.Reading
	acts   chan func(now time.Time)
	quit   chan struct{}

	live    *live // latest readings and which devices answer
	state   *rules.State
	board   *alarm.Board
	static  map[*rules.Instance]alarm.Condition // what never changes of each condition
	rules   map[string]*rules.Rule              // by the key of an instance
	outputs *outputs
	writes  sync.WaitGroup  // outputs on their way
	events  []alarm.Event   // of this turn, not yet on disk
	unsaved []alarm.Event   // of earlier turns that the disk would not take
	seq     int64           // of the latest event in the journal
	faults  map[string]bool // of the gateway itself, by key: open or not
	queues  map[string]*store.Queue
	report  *reporter // the gateway's own series

	page page // what the console sees
}

// turn is how often the hub wakes at the least.
const turn = time.Second

func newHub(ctx context.Context, g *Gateway, st *store.Store) (*hub, error) {
	records, err := st.Records(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	h := &hub{
		g: g, store: st, outbox: newOutbox(st), log: g.Log,
		in:     make(chan []drivers.Reading),
		acts:   make(chan func(time.Time)),
		quit:   make(chan struct{}),
		live:   newLive(g.links, now),
		state:  g.rules.NewState(),
		board:  alarm.Restore(now, records),
		static: map[*rules.Instance]alarm.Condition{},
		rules:  map[string]*rules.Rule{},
		faults: map[string]bool{},
		queues: map[string]*store.Queue{},
	}
	if g.windows != nil {
		h.state.Adopt(g.windows)
	}
	g.state = h.state
	if h.seq, err = st.LastSeq(ctx); err != nil {
		return nil, err
	}
	inForce := map[string]*rules.Rule{}
	for _, in := range g.rules.Instances() {
		h.static[in] = g.condition(in)
		h.rules[in.Key] = in.Rule
		inForce[in.Key] = in.Rule
	}
	for _, r := range records {
		if rule := ownRuleOf(r.Key); rule != nil {
			inForce[r.Key] = rule
			h.faults[r.Key] = r.Alarm != nil && r.Alarm.Active()
		}
	}
	h.board.Retain(inForce)
	h.state.SetActive(h.active)
	for _, u := range g.uplinks {
		h.queues[u.id] = st.Queue(u.id, store.QueueLimit{})
	}
	h.outputs = newOutputs(h)
	h.report = newReporter(g, now)
	h.page.init(now)
	return h, nil
}

// run is the hub's loop; it ends after stop, when everything that was handed in is on disk.
func (h *hub) run() {
	h.record(time.Now(), "gateway.started", h.g.Version)
	watchdog := newWatchdog()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case batch := <-h.in:
			h.take(time.Now(), batch)
		case act := <-h.acts:
			act(time.Now())
		case <-timer.C:
			now := time.Now()
			h.tick(now)
			watchdog.alive(now)
			timer.Reset(h.sleep(now))
			continue
		case <-h.quit:
			h.writes.Wait()
			h.board.Checkpoint(time.Now()) // so that the restart takes no time from the delays under way
			h.record(time.Now(), "gateway.stopped", "")
			return
		}
		timer.Reset(h.sleep(time.Now()))
	}
}

// stop ends the loop. The drivers have stopped before.
func (h *hub) stop() { close(h.quit) }

// sleep is how long nothing is due.
func (h *hub) sleep(now time.Time) time.Duration {
	d := turn
	for _, next := range []time.Time{h.state.Next(), h.board.Next(), h.outputs.next()} {
		if !next.IsZero() {
			d = min(d, max(next.Sub(now), 0))
		}
	}
	return d
}

// emit is what drivers hand their readings to: it returns when the hub holds them.
func (h *hub) emit(batch []drivers.Reading) {
	select {
	case h.in <- batch:
	case <-h.quit:
	}
}

// take is the way of a batch: live state, uplinks, rules, alarms, journal.
func (h *hub) take(now time.Time, batch []drivers.Reading) {
	batch = h.live.note(now, batch)
	h.observe(now, batch)
	h.commit(now)
}

// observe passes readings on to uplinks and rules; the hub's own findings (stale, offline, online) go the same way.
func (h *hub) observe(now time.Time, batch []drivers.Reading) {
	if len(batch) == 0 {
		return
	}
	h.forward(batch)
	h.judge(now, h.state.Update(now, batch))
}

// forward gives each device's readings to every uplink, and counts them.
func (h *hub) forward(batch []drivers.Reading) {
	for start := 0; start < len(batch); {
		d := h.live.device(batch[start].Signal)
		end := start + 1
		for end < len(batch) && h.live.device(batch[end].Signal) == d {
			end++
		}
		for _, u := range h.g.uplinks {
			if d != nil {
				u.Readings(d.Device, batch[start:end])
			}
		}
		start = end
	}
	for i := range batch {
		h.g.metrics.reading(batch[i])
	}
}

// judge evaluates instances and steps their alarms.
func (h *hub) judge(now time.Time, instances []*rules.Instance) {
	for _, in := range instances {
		c, result := h.static[in], h.state.Eval(in, now)
		c.When, c.Until, c.Reading, c.Retained = result.When, result.Until, result.Reading, result.Retained
		if c.When == rules.True {
			c.Message = h.g.message(in, result.Reading, c)
		}
		h.events = append(h.events, h.board.Step(now, c)...)
		h.fault(now, ruleFailed, in.Key, result.Err != nil, result.Err)
	}
	h.g.metrics.evaluations.Add(float64(len(instances)))
}

// tick does what time alone brings.
func (h *hub) tick(now time.Time) {
	h.observe(now, h.live.expire(now))
	h.judge(now, h.state.Due(now))
	h.events = append(h.events, h.board.Tick(now)...)
	h.outputs.tick(now)
	h.supervision(now)
	h.report.tick(now, h)
	h.g.metrics.scan(now, h)
	h.commit(now)
	h.show(now, false)
}

// record writes an event of the gateway itself into the journal.
func (h *hub) record(now time.Time, kind, note string) {
	h.events = append(h.events, alarm.Event{ID: eventID(kind, now), Time: now, Type: kind, Note: note})
	h.commit(now)
}

// commit puts the events of this turn on disk, and then tells outputs, people and platforms. Where the disk fails, outputs
// and people are told all the same, and it is all written down when the disk works again.
func (h *hub) commit(now time.Time) {
	if len(h.unsaved) > 0 {
		h.board.Checkpoint(now) // the records of the turns that failed
	}
	records := h.board.Changed()
	if len(h.events) == 0 && len(records) == 0 {
		return
	}
	fresh := h.events
	h.events = nil
	h.save(now, fresh, records)
	h.outputs.start(now, fresh)
	if len(fresh) == 0 {
		return
	}
	for _, e := range fresh {
		h.g.metrics.event(e, h.sampled(e), time.Now())
		h.logEvent(e)
	}
	h.show(now, true)
	h.g.channels.Wake()
	for _, u := range h.g.uplinks {
		u.Wake()
	}
}

// save writes events, records and messages in one transaction; what the disk does not take is held in memory.
func (h *hub) save(now time.Time, fresh []alarm.Event, records []alarm.Record) {
	tx := store.Transaction{Events: append(h.unsaved, fresh...), Records: records}
	for _, e := range tx.Events {
		tx.Messages = append(tx.Messages, h.g.channels.Compose(e, now)...)
	}
	tx.Messages = h.outbox.undelivered(tx.Messages)
	err := h.store.Commit(context.Background(), &tx)
	h.page.store.set(now, err)
	if err != nil {
		h.unsaved = tx.Events
		if over := len(h.unsaved) - unsavedAtMost; over > 0 {
			h.unsaved = h.unsaved[over:]
		}
		if len(h.unsaved) == 0 { // only records: they are tried again with a checkpoint
			h.unsaved = append(h.unsaved, alarm.Event{ID: eventID("store.failed", now), Time: now, Type: "store.failed", Note: firstLine(err.Error())})
		}
		h.outbox.hold(tx.Messages)
		h.log.Error("journal not written", "err", err, "events", len(h.unsaved))
		return
	}
	if len(h.unsaved) > 0 {
		h.log.Info("journal written again", "events", len(h.unsaved))
		h.outbox.stored()
	}
	h.unsaved = nil
	if n := len(tx.Events); n > 0 {
		h.seq = tx.Events[n-1].Seq
	}
}

// unsavedAtMost bounds the events that wait in memory for a disk that does not take them; the oldest go first.
const unsavedAtMost = 10_000

// active counts the alarms of a class whose condition holds, for the conditions that ask; "" is every class.
func (h *hub) active(class rules.Class) int { return activeAlarms(h.board, class) }

func activeAlarms(b *alarm.Board, class rules.Class) (n int) {
	for _, a := range b.Open() {
		if a.Active() && (class == "" || a.Class == class) {
			n++
		}
	}
	return n
}

// sampled is when the reading that an event is about was taken; zero where there is none.
func (h *hub) sampled(e alarm.Event) time.Time {
	if e.Alarm == nil {
		return time.Time{}
	}
	if s := h.live.signals[e.Alarm.Signal]; s != nil {
		return s.at
	}
	return time.Time{}
}

func (h *hub) logEvent(e alarm.Event) {
	if e.Alarm == nil {
		h.log.Info("event", "type", e.Type, "note", e.Note)
		return
	}
	h.log.Info("event", "type", e.Type, "alarm", e.Alarm.ID, "rule", e.Alarm.Rule, "zone", e.Alarm.Zone, "device", e.Alarm.Device, "state", e.Alarm.State, "by", e.By)
}

// do runs an act of a person on the hub and waits for it to be on disk.
func (h *hub) do(ctx context.Context, act func(now time.Time) ([]alarm.Event, error)) error {
	done := make(chan error, 1)
	run := func(now time.Time) {
		events, err := act(now)
		h.events = append(h.events, events...)
		h.commit(now)
		if err == nil && len(h.unsaved) > 0 {
			err = errNotOnDisk
		}
		done <- err
	}
	select {
	case h.acts <- run:
		return <-done
	case <-h.quit:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchdog tells systemd that the hub turns; it is pinged from nowhere else.
type watchdog struct {
	period time.Duration
	last   time.Time
}

func newWatchdog() *watchdog {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		period = 0
	}
	return &watchdog{period: period / 2}
}

func (w *watchdog) alive(now time.Time) {
	if w.period > 0 && now.Sub(w.last) >= min(w.period, turn) {
		notifySystemd(daemon.SdNotifyWatchdog)
		w.last = now
	}
}
