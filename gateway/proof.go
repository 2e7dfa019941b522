package gateway

import (
	"context"
	"sync"
	"time"

	"embergate/gateway/console"
	"embergate/gateway/notify"
	"embergate/gateway/store"
)

// proof is when the whole way from the journal to people was last tried, and which channels took it: the daily test, or the
// last drill. Safe for any goroutine.
type proof struct {
	mu    sync.Mutex // guards the rest
	event string     // id of the test
	chain console.Chain
	told  map[string]bool
}

// proofAge is how far back a start looks for the last test.
const proofAge = 40 * 24 * time.Hour

// delivered is told every attempt of a channel.
func (p *proof) delivered(m store.Message, outcome store.Outcome, now time.Time) {
	if m.Type != notify.EventTest || outcome != store.Accepted {
		return
	}
	p.note(m.Event, m.Channel, m.Created, now.Sub(m.Created))
}

// note takes in that a channel took a test, so long after it was made. What is told of an older test changes nothing.
func (p *proof) note(event, channel string, made time.Time, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case event == p.event:
	case made.After(p.chain.At):
		p.event, p.chain, p.told = event, console.Chain{At: made}, map[string]bool{}
	default:
		return
	}
	p.told[channel] = true
	p.chain.Told, p.chain.Took = len(p.told), max(p.chain.Took, took)
}

// recall takes the last test from the ledger, after a start.
func (p *proof) recall(ctx context.Context, st *store.Store, now time.Time) error {
	ledger, err := st.Deliveries(ctx, store.Ledger{Outcome: store.Accepted, Since: now.Add(-proofAge), Limit: 5000})
	if err != nil {
		return err
	}
	for _, d := range ledger { // the newest first
		if d.Type == notify.EventTest && d.Message != 0 { // one by hand goes by no queue, and proves its channel only
			p.note(d.Event, d.Channel, d.Time.Add(-d.Latency), d.Latency)
		}
	}
	return nil
}

// last is the later of the last test and the last drill, nil where there was neither.
func (p *proof) last(drill *console.Chain, channels int) *console.Chain {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event == "" || drill != nil && drill.At.After(p.chain.At) {
		return drill
	}
	c := p.chain
	c.Of = channels
	return &c
}
