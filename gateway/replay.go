package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// Replay is what the rules of a configuration would have done with what the gateway read, beside what it did (RU13).
type Replay struct {
	From    time.Time     `json:"from"`
	To      time.Time     `json:"to"`
	Exact   *time.Time    `json:"exact_from"` // from here on every change is known, before it only each minute; null: nowhere
	Known   time.Time     `json:"known_until"`
	Missing []string      `json:"without_history"` // signals of the configuration of which nothing is kept
	Events  []ReplayEvent `json:"events"`          // what would have happened
	Unlike  []ReplayEvent `json:"only_in_journal"` // what happened, and would not have
	Rules   []ReplayCount `json:"rules"`
	AtStart int           `json:"open_at_start"` // alarms that would have been open at From
}

// ReplayEvent is an alarm that was raised, fell to a lower level or cleared, or would have been.
type ReplayEvent struct {
	Time    time.Time   `json:"time"`
	What    string      `json:"what"` // raised, lowered, cleared
	Rule    string      `json:"rule"`
	Source  string      `json:"source"`
	Name    string      `json:"name"`
	Place   string      `json:"place"`
	Level   rules.Level `json:"level"`
	Value   *float64    `json:"value"`
	Unit    string      `json:"unit"`
	Rough   bool        `json:"rough"`   // only the minutes are known: it is right to a minute or two
	Journal *time.Time  `json:"journal"` // when the journal has the same; null: it has not, or it is of the journal itself
	Test    bool        `json:"test"`    // the journal has it as of a zone under test
}

// ReplayCount is how often a rule would have raised an alarm, and how often it did.
type ReplayCount struct {
	Rule  string `json:"rule"`
	Would int    `json:"would"`
	Did   int    `json:"did"`
}

// Span is a span of time as people write it: since 7d, 36h, a day or a time; until a day or a time, or now.
type Span struct{ Since, Until string }

// Bounds of a replay, and what it does.
const (
	longestReplay = 31 * 24 * time.Hour
	warmUp        = time.Hour        // before From, so that windows are full and what was open is open
	pushedEach    = 30 * time.Second // a device that speaks by itself is taken to have repeated itself so often
	roughEach     = 15 * time.Second
	sameWithin    = 10 * time.Second // events of the journal that are taken for the same
	sameRough     = 2 * time.Minute
)

// span reads a span of time.
func (g *Gateway) span(s Span, now time.Time) (from, to time.Time, err error) {
	to = now
	if s.Until != "" {
		day := false
		if to, day, err = g.moment(s.Until); err != nil {
			return from, to, err
		}
		if day {
			to = to.AddDate(0, 0, 1)
		}
	}
	if to.After(now) {
		to = now
	}
	text := s.Since
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if _, bad := fmt.Sscanf(days+";", "%d;", &n); bad == nil {
			text = fmt.Sprintf("%dh", 24*n)
		}
	}
	if d, bad := time.ParseDuration(text); bad == nil {
		from = to.Add(-d)
	} else if from, _, err = g.moment(s.Since); err != nil {
		return from, to, err
	}
	if !from.Before(to) || to.Sub(from) > longestReplay {
		return from, to, &BadSelection{i18n.T("a replay is of a time that is over, at most 31 days long")}
	}
	return from, to, nil
}

// ReplayRules plays the gateway's own history through the rules and through alarms of their own, on a clock of their own. It
// reads the data directory and changes nothing; a daemon may be running. What people did is not played: an alarm that
// latches stays, and its next trigger counts as raised.
func (g *Gateway) ReplayRules(ctx context.Context, s Span, now time.Time) (*Replay, error) {
	from, to, err := g.span(s, now)
	if err != nil {
		return nil, err
	}
	past, err := store.OpenPast(ctx, string(g.cfg.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &BadSelection{i18n.T("there is no history in %s", g.cfg.Data)}
	}
	if err != nil {
		return nil, err
	}
	defer past.Close()
	p := newPlayback(g, past)
	r := &Replay{From: from.In(g.location), To: to.In(g.location), Missing: p.missing(), Events: []ReplayEvent{}, Unlike: []ReplayEvent{}, Rules: []ReplayCount{}}
	if err := p.run(ctx, from.Add(-warmUp), to); err != nil {
		return nil, err
	}
	if !p.exact.IsZero() {
		exact := p.exact.In(g.location)
		r.Exact = &exact
	}
	r.Known = p.known.In(g.location)
	p.tell(r)
	return r, g.compareReplay(ctx, r)
}

// playback is history on its way through the rules.
type playback struct {
	g       *Gateway
	past    *store.Past
	state   *rules.State
	runs    *rehearsal
	static  []alarm.Condition
	devices []*played
	bySig   map[string]*playedSignal
	links   map[string]*playedLink // by device
	exact   time.Time
	known   time.Time
	rough   bool
	roughs  []bool // of runs.all
	running int    // signals of which something is known; 0: the gateway did not run
	stopped time.Time
}

// played is a device of the history, and how often it is taken to have been read.
type played struct {
	every   time.Duration
	signals []*playedSignal
}

type playedSignal struct {
	key   string
	now   store.Said
	known bool
}

// playedLink is an endpoint, of which history says nothing: it was down while its devices were offline.
type playedLink struct {
	key  string
	down bool
	said bool
}

func newPlayback(g *Gateway, past *store.Past) *playback {
	p := &playback{
		g: g, past: past, state: g.rules.NewState(), bySig: map[string]*playedSignal{}, links: map[string]*playedLink{},
		runs:   &rehearsal{g: g, board: alarm.NewBoard(), paths: newPaths(g.rules, g.model), test: &RuleTest{}},
		static: make([]alarm.Condition, len(g.rules.Instances())),
	}
	for _, in := range g.rules.Instances() {
		first := p.runs.paths.first(in)
		p.static[in.Index()] = g.condition(first, g.spot(first))
	}
	p.state.SetActive(p.runs.active)
	for _, l := range g.links {
		link := &playedLink{key: l.id + "." + drivers.LinkSignal}
		for _, d := range l.driver.Devices() {
			one := &played{every: pushedEach}
			if d.Every > 0 {
				one.every = max(d.Every.Truncate(time.Second), time.Second)
			}
			p.links[d.ID+"."+drivers.OnlineSignal] = link
			for _, key := range append([]string{d.ID + "." + drivers.OnlineSignal}, keysOf(d)...) {
				s := &playedSignal{key: key}
				p.bySig[key] = s
				one.signals = append(one.signals, s)
			}
			p.devices = append(p.devices, one)
		}
	}
	return p
}

func keysOf(d drivers.Device) (keys []string) {
	for _, s := range d.Signals {
		keys = append(keys, d.Key(s))
	}
	return keys
}

// missing are the signals of which history has nothing; those that not every unit has are none.
func (p *playback) missing() []string {
	list := []string{}
	for _, d := range p.g.devices() {
		for _, s := range d.Signals {
			if !s.Optional && !p.past.Knows(d.Key(s)) {
				list = append(list, d.Key(s))
			}
		}
	}
	return list
}

// run plays from a time to another, second by second.
func (p *playback) run(ctx context.Context, from, to time.Time) error {
	from = from.Truncate(time.Second)
	for at := from; at.Before(to); {
		said, until, rough, err := p.past.Stretch(ctx, at)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.rough = rough; !rough && p.exact.IsZero() && len(said) > 0 {
			p.exact = at
		}
		if p.running == 0 && len(said) == 0 {
			at = until
		}
		for ; at.Before(until) && at.Before(to); at = at.Add(time.Second) {
			for len(said) > 0 && !said[0].From.After(at) {
				said = p.begin(said)
			}
			p.second(at)
		}
	}
	return nil
}

// begin takes in what signals said at one moment, and answers the rest.
func (p *playback) begin(said []store.Said) []store.Said {
	at := said[0].From
	var batch []drivers.Reading
	n := 0
	for ; n < len(said) && said[n].From.Equal(at); n++ {
		s := p.bySig[said[n].Signal]
		if s == nil {
			continue // of a device that is not in this configuration
		}
		if said[n].Until.After(p.known) {
			p.known = said[n].Until
		}
		if p.running == 0 {
			p.restart(at)
		}
		if !s.known {
			p.running++
		}
		goesOn := s.known && s.now.Quality == said[n].Quality && s.now.Value == said[n].Value && s.now.Reason == said[n].Reason
		s.now, s.known = said[n], true
		if goesOn {
			continue // a piece that goes on is no reading; repeats are
		}
		batch = append(batch, reading(s, at))
		batch = p.link(batch, s, at)
	}
	p.update(at, batch)
	return said[n:]
}

// restart begins anew, as the gateway did after it had not run: alarms and delays go on from where they stood, and nothing
// is known of any signal.
func (p *playback) restart(at time.Time) {
	if p.stopped.IsZero() {
		return // the first start
	}
	p.state = p.g.rules.NewState()
	p.state.SetActive(p.runs.active)
	inForce := map[string]*rules.Rule{}
	for _, in := range p.g.rules.Instances() {
		inForce[in.Key] = in.Rule
	}
	p.runs.board.Checkpoint(p.stopped)
	p.runs.board = alarm.Restore(at, p.runs.board.Changed())
	p.runs.board.Retain(inForce)
	p.runs.paths = newPaths(p.g.rules, p.g.model)
	p.runs.paths.recall(p.runs.board.Open())
	for _, l := range p.links {
		l.said = false
	}
}

func reading(s *playedSignal, at time.Time) drivers.Reading {
	return drivers.Reading{Signal: s.key, Time: at, Value: s.now.Value, Quality: s.now.Quality, Reason: s.now.Reason}
}

// link adds what a device's being online says of its endpoint: while that is lost nothing is known of its devices.
func (p *playback) link(batch []drivers.Reading, s *playedSignal, at time.Time) []drivers.Reading {
	l := p.links[s.key]
	if l == nil {
		return batch
	}
	down := s.now.Quality == drivers.Bad && s.now.Reason == drivers.Offline
	if l.said && l.down == down || !down && s.now.Quality == drivers.Bad {
		return batch
	}
	l.said, l.down = true, down
	return append(batch, drivers.Reading{Signal: l.key, Time: at, Value: float64(number(!down)), Quality: drivers.Good})
}

// second lets a second pass: devices that are read at it repeat what they say, and what time alone changes is looked at.
func (p *playback) second(at time.Time) {
	if p.running == 0 {
		return
	}
	for _, d := range p.devices {
		every := d.every
		if p.rough {
			every = roughEach
		}
		if at.Unix()%int64(every/time.Second) != 0 {
			continue
		}
		var batch []drivers.Reading
		for _, s := range d.signals {
			switch {
			case !s.known:
			case s.now.Until.Before(at.Add(-time.Second)): // the gateway did not run
				s.known = false
				p.running--
				p.stopped = at
			case s.now.Quality != drivers.Bad:
				batch = append(batch, reading(s, at))
			}
		}
		p.update(at, batch)
	}
	p.judge(at, p.state.Due(at))
	p.runs.advance(at)
	p.mark()
}

func (p *playback) update(at time.Time, batch []drivers.Reading) {
	if len(batch) > 0 {
		p.judge(at, p.state.Update(at, batch))
		p.mark()
	}
}

func (p *playback) judge(now time.Time, instances []*rules.Instance) {
	for _, in := range instances {
		p.runs.found(now, in, p.static[in.Index()], p.state.Eval(in, now))
	}
}

// mark notes of new events whether they are of minutes.
func (p *playback) mark() {
	for len(p.roughs) < len(p.runs.all) {
		p.roughs = append(p.roughs, p.rough)
	}
}
