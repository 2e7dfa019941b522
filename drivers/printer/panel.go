package printer

import (
	"fmt"
	"regexp"
	"time"

	"embergate/drivers"
)

// The paths of signals, besides points such as 004-017.
const (
	pathAny   = "any"   // 1 while any point is in alarm
	pathCount = "count" // how many are
)

var pointPattern = regexp.MustCompile(`^\d{3}-\d{3}$`)

// panel is what is known of the panel from what it printed: the points in alarm since its last reset.
type panel struct {
	fires  map[string]fire // by point; "" is a fire without one
	known  bool            // a reset was printed since the connection: what has not burnt since is quiet
	broken string          // a record that could not be read, since
	heard  time.Time       // when a record was last printed, or the connection made
	expire time.Duration
}

// fire is a point in alarm.
type fire struct{ text string }

// connected begins to listen: what was printed while nobody did is not known.
func (p *panel) connected(now time.Time, expire time.Duration) {
	p.known, p.heard, p.expire = false, now, expire
}

// mostFires is how many points are kept by name that nobody configured; the largest loops of a panel have fewer.
const mostFires = 10_000

// take takes a record in, and answers whether that changed what is known.
func (p *panel) take(now time.Time, r record) (news bool) {
	p.heard = now
	switch {
	case r.fire(): // even in a damaged record
		if p.fires == nil {
			p.fires = map[string]fire{}
		}
		if _, burns := p.fires[r.point]; !burns {
			p.fires[r.point] = fire{r.String()}
			return true
		}
	case r.damaged != "":
		news = p.broken == ""
		p.broken = "a printed record could not be read; look at the panel"
	case r.reset():
		news = !p.known || p.broken != "" || len(p.fires) > 0
		*p = panel{known: true, heard: now, expire: p.expire}
	}
	return news
}

// reading is what is known of a path.
func (p *panel) reading(now time.Time, path string) drivers.Reading {
	r := drivers.Reading{Time: now, Quality: drivers.Good}
	switch burning, burns := p.fires[path]; {
	case path == pathCount:
		r.Value = float64(len(p.fires))
	case path == pathAny && len(p.fires) > 0:
		r.Value = 1
		for _, f := range p.fires {
			if r.Detail == "" || f.text < r.Detail { // of several the same one each time
				r.Detail = f.text
			}
		}
		if n := len(p.fires); n > 1 {
			r.Detail = fmt.Sprintf("%d points; %s", n, r.Detail)
		}
	case burns:
		r.Value, r.Detail = 1, burning.text
	}
	if path != pathCount && r.Value == 1 {
		return r // what burns is believed until the panel says that it was reset
	}
	switch {
	case p.expire > 0 && now.Sub(p.heard) > p.expire:
		return drivers.Reading{Time: now, Reason: drivers.Offline, Detail: "the panel has printed nothing for " + p.expire.String()}
	case p.broken != "":
		return drivers.Reading{Time: now, Reason: drivers.Decode, Detail: p.broken}
	case !p.known:
		r.Quality, r.Reason = drivers.Uncertain, drivers.Stale
		r.Detail = "what the panel printed before this connection is not known until it is reset"
	}
	return r
}
