package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
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

	live       *live // latest readings and which devices answer
	state      *rules.State
	board      *alarm.Board
	spots      []*spot // by the index of an instance: where it looks
	outputs    *outputs
	hands      *hands         // what people write
	duty       *duties        // who is told
	paths      *paths         // detectors that are seen over more than one
	exercise   *exercise      // zones under test, and a drill
	rounds     *rounds        // duty checks, hazards, hand-overs
	uptime     uptime         // of the devices, this month
	daily      *dailyTest     // of the channels
	writes     sync.WaitGroup // outputs on their way
	events     []alarm.Event  // of this turn, not yet on disk
	sample     time.Time      // when what this turn is about was read
	unsaved    []alarm.Event  // of earlier turns that the disk would not take
	diskFailed bool
	diskTried  time.Time
	kept       time.Time       // when the house was last kept
	remembered time.Time       // when the devices' silence was last kept
	seq        int64           // of the latest event in the journal
	last       []alarm.Event   // that event, as it was at the start; empty: there was none
	faults     map[string]bool // of the gateway itself, by key: open or not
	failed     []bool          // by the index of an instance: it cannot be evaluated
	queues     map[string]*store.Queue
	report     *reporter // the gateway's own series
	gate       *gate     // readings and points on their way to those who keep their times

	thin deadbands // of what is forwarded
	page page      // what the console sees
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
		g: g, store: st, outbox: &outbox{Store: st}, log: g.Log,
		in:     make(chan []drivers.Reading),
		acts:   make(chan func(time.Time)),
		quit:   make(chan struct{}),
		live:   newLive(g.links, now),
		state:  g.rules.NewState(),
		board:  alarm.Restore(now, records),
		spots:  make([]*spot, len(g.rules.Instances())),
		faults: map[string]bool{},
		failed: make([]bool, len(g.rules.Instances())),
		paths:  newPaths(g.rules, g.model),
		queues: map[string]*store.Queue{},
	}
	if g.windows != nil {
		h.state.Adopt(g.windows)
	}
	g.state = h.state
	if h.seq, err = st.LastSeq(ctx); err != nil {
		return nil, err
	}
	h.lookAt()
	h.recall(ctx)
	h.board.Retain(h.inForce(records))
	h.paths.recall(h.board.Open())
	h.state.SetActive(h.active)
	for _, u := range g.uplinks {
		h.queues[u.id] = st.Queue(u.id, u.limit)
	}
	h.duty = newDuties(ctx, h, now)
	h.outputs, h.hands = newOutputs(h, now), newHands(h)
	h.exercise = newExercise(h, now)
	h.rounds = newRounds(ctx, h, now)
	h.daily = newDailyTest(ctx, h)
	if err := g.proof.recall(ctx, st, now); err != nil {
		h.log.Error("last test of the chain not recalled", "err", err)
	}
	last, err := st.Events(ctx, h.seq-1, 1)
	if err != nil {
		return nil, err
	}
	h.last = last
	h.gate = newGate(now, g.built, newest(last), g.Log)
	h.gate.reading, h.gate.point = h.send, h.sendPoint
	h.report = newReporter(g, now, h.gate)
	h.page.init(now)
	return h, nil
}

// lookAt finds the spot of each instance; those of one signal share it.
func (h *hub) lookAt() {
	spots := map[spot]*spot{}
	for _, in := range h.g.rules.Instances() {
		s := h.g.spot(h.paths.first(in))
		if spots[*s] == nil {
			spots[*s] = s
		}
		h.spots[in.Index()] = spots[*s]
	}
}

// inForce are the rules of all alarms that there may be, by their keys. It takes over which faults of the
// gateway itself are open.
func (h *hub) inForce(records []alarm.Record) map[string]*rules.Rule {
	inForce := map[string]*rules.Rule{}
	for _, in := range h.g.rules.Instances() {
		if h.paths.first(in) == in {
			inForce[in.Key] = in.Rule
		}
	}
	for _, r := range records {
		if rule := h.ownRuleOf(r.Key); rule != nil {
			inForce[r.Key] = rule
			h.faults[r.Key] = r.Alarm != nil && r.Alarm.Active()
		}
	}
	for _, in := range h.g.rules.Instances() {
		h.failed[in.Index()] = h.faults[ruleFailed.ID+"@"+in.Key]
	}
	return inForce
}

// run is the hub's loop; it ends after stop, when everything that was handed in is on disk.
func (h *hub) run() {
	h.sample = time.Now()
	h.bury(h.sample)
	h.record(h.sample, "gateway.started", h.g.Version)
	watchdog := newWatchdog()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var ticked time.Time
	for {
		select {
		case batch := <-h.in:
			h.take(time.Now(), batch)
		case act := <-h.acts:
			h.sample = time.Now()
			act(h.sample)
		case <-timer.C:
		case <-h.quit:
			h.writes.Wait()
			h.board.Checkpoint(time.Now()) // so that the restart takes no time from the delays under way
			h.duty.checkpoint()
			h.record(time.Now(), "gateway.stopped", "")
			h.remember(context.Background())
			return
		}
		now := time.Now()
		next := h.next(now, ticked)
		if !now.Before(next) {
			h.tick(now) // however busy the drivers keep the hub
			ticked = now
			watchdog.alive(now)
			now = time.Now()
			next = h.next(now, ticked)
		}
		timer.Reset(max(next.Sub(now), 0))
	}
}

// stop ends the loop. The drivers have stopped before.
func (h *hub) stop() { close(h.quit) }

// next is when the hub wakes by itself: at its turn, or where something is due before.
func (h *hub) next(now, ticked time.Time) time.Time {
	next := ticked.Add(turn)
	for _, due := range [...]time.Time{h.state.Next(), h.board.Next(), h.duty.next(now), h.outputs.next(), h.exercise.next()} {
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	return next
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
	if len(batch) == 0 {
		return
	}
	h.watchClock(now, h.gate.clock.m.synced)
	h.sample = batch[0].Time
	if first := h.live.find(batch[0].Signal); first != nil && first.device == nil && batch[0].Value == 1 {
		h.linked(now, batch[0].Signal)
	}
	h.observe(now, h.live.note(now, batch))
	h.commit(now)
	drivers.Recycle(batch) // whoever keeps a reading has copied it
}

// linked is told that an endpoint is connected: its driver works, and outputs that waited for it are written at once.
func (h *hub) linked(now time.Time, key string) {
	h.fault(now, driverFailed, strings.TrimSuffix(key, "."+drivers.LinkSignal), false, nil)
	h.outputs.retry(now)
}

// observe passes readings on to uplinks and rules; the hub's own findings (stale, offline, online) go the same way.
func (h *hub) observe(now time.Time, batch []drivers.Reading) {
	if len(batch) == 0 {
		return
	}
	batch = h.derive(now, batch)
	h.forward(now, batch)
	h.judge(now, h.state.Update(now, batch))
}

// forward gives each device's readings to those who keep them, and counts them.
func (h *hub) forward(now time.Time, batch []drivers.Reading) {
	m := h.gate.moment(now, h.gate.clock.m.synced)
	for start := 0; start < len(batch); {
		d := h.live.device(batch[start].Signal)
		end := start + 1
		for end < len(batch) && h.live.device(batch[end].Signal) == d {
			end++
		}
		if d != nil {
			h.gate.take(m, d, h.thin.pass(now, d, batch[start:end]))
		}
		start = end
	}
	h.g.metrics.count(batch)
}

// judge evaluates instances and steps their alarms.
func (h *hub) judge(now time.Time, instances []*rules.Instance) {
	for _, in := range instances {
		c, result := h.g.condition(h.paths.first(in), h.spots[in.Index()]), h.state.Eval(in, now)
		c.When, c.Until, c.Reading, c.Retained = result.When, result.Until, result.Reading, result.Retained
		c.Least, c.Most = result.Least, result.Most
		h.paths.join(now, in, &c, result)
		h.exercise.mark(in, &c)
		if c.When == rules.True {
			c.Message = h.g.message(h.paths.first(in), c.Reading, c)
		}
		h.events = append(h.events, h.board.Step(now, c)...)
		if failed := result.Err != nil; failed != h.failed[in.Index()] { // to ask by its key would cost more than to judge
			h.failed[in.Index()] = failed
			h.fault(now, ruleFailed, in.Key, failed, result.Err)
		}
	}
	h.g.metrics.evaluations.Add(float64(len(instances)))
}

// tick does what time alone brings.
func (h *hub) tick(now time.Time) {
	h.sample = now
	h.judge(now, h.state.Due(now))
	h.events = append(h.events, h.board.Tick(now)...)
	h.duty.tick(now)
	h.outputs.tick(now)
	h.exercise.tick(now)
	if now.Sub(h.kept) >= turn*9/10 { // a delay that ends brings turns of its own, many a second on a large site
		h.kept = now
		h.housekeep(now)
	}
	h.commit(now)
	h.show(now, false)
}

// housekeep does once a second what looks at everything.
func (h *hub) housekeep(now time.Time) {
	h.watchClock(now, synced())
	h.gate.release(h.gate.clock.m)
	h.observe(now, h.live.expire(now))
	if now.Sub(h.remembered) >= rememberEach {
		h.remember(context.Background())
	}
	h.supervision(now)
	h.countUptime(now)
	h.rounds.tick(now)
	h.daily.tick(now)
	h.report.tick(now, h)
	h.g.metrics.scan(now, h)
}

// active counts the alarms of a class whose condition holds, for the conditions that ask; "" is every class.
func (h *hub) active(class rules.Class) int { return activeAlarms(h.board, class) }

func activeAlarms(b *alarm.Board, class rules.Class) (n int) {
	for _, a := range b.Open() {
		if a.Active() && !a.Test && (class == "" || a.Class == class) {
			n++
		}
	}
	return n
}

// do runs an act of a person on the hub and waits for it to be on disk.
func (h *hub) do(ctx context.Context, act func(now time.Time) ([]alarm.Event, error)) error {
	var refused error
	err := h.ask(ctx, func(now time.Time) {
		var events []alarm.Event
		events, refused = act(now)
		h.events = append(h.events, events...)
		h.commit(now)
	})
	if err != nil {
		return err
	}
	return refused
}

// ask runs something on the hub, as what reads what it owns, and waits for its end.
func (h *hub) ask(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case h.acts <- func(now time.Time) { f(now); close(done) }:
		<-done
		return nil
	case <-h.quit:
		return errStopping
	case <-ctx.Done():
		return fmt.Errorf("the hub does not answer: %w", ctx.Err())
	}
}

// post hands the hub something to do, unless it has stopped.
func (h *hub) post(f func(now time.Time)) {
	select {
	case h.acts <- f:
	case <-h.quit:
	}
}
