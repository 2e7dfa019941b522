package gateway

import (
	"slices"
	"strings"
	"time"

	"embergate/drivers"
)

// live is the latest reading of every signal, and whether each device answers. It makes readings of its own where
// silence says something: stale after no good value for too long, offline while the endpoint is gone.
type live struct {
	signals map[string]*signal
	devices []*device
	links   map[string]*linkState
	found   *signal // by find, last
}

// signal is a signal's latest reading, and its last good one.
type signal struct {
	*drivers.Signal
	device *device // nil for the link of an endpoint
	drivers.Reading
	at    time.Time // when the reading was taken in, by this machine's clock
	since time.Time // of its quality and reason
	good  good      // the last good one
	own   time.Time // of the latest by its own time; it outlives a restart
	next  *signal   // that was asked for after it, last time
}

// good is what is kept of a good reading.
type good struct {
	Time  time.Time
	Value float64
}

// device is an instrument and whether it answers.
type device struct {
	drivers.Device
	link    *linkState
	signals []*signal
	thin    bool      // some are not always forwarded; see deadbands
	online  *signal   // device.online
	goodAt  time.Time // of the last good reading of any signal, later by the time that nobody could listen
	failures
}

// linkState is an endpoint's connection.
type linkState struct {
	*link
	signal  *signal
	devices []*device
	down    time.Time // since when it is lost; zero while it is connected
	lastErr string    // why it was lost
}

func newLive(links []*link, now time.Time) *live {
	l := &live{signals: map[string]*signal{}, links: map[string]*linkState{}}
	linkSignal := &drivers.Signal{ID: drivers.LinkSignal, Kind: drivers.LinkSignal}
	onlineSignal := &drivers.Signal{ID: drivers.OnlineSignal, Kind: drivers.OnlineSignal}
	for _, ep := range links {
		ls := &linkState{link: ep, down: now}
		ls.signal = l.add(nil, ep.id, linkSignal, now)
		for _, d := range ep.driver.Devices() {
			dev := &device{Device: d, link: ls, goodAt: now}
			dev.Stale = staleAfter(d)
			dev.online = l.add(dev, d.ID, onlineSignal, now)
			for i := range d.Signals {
				dev.signals = append(dev.signals, l.add(dev, d.ID, &d.Signals[i], now))
				dev.thin = dev.thin || thinned(d.Signals[i])
			}
			l.devices = append(l.devices, dev)
			ls.devices = append(ls.devices, dev)
		}
		l.links[ep.id] = ls
	}
	return l
}

// staleAfter is the time without a good reading after which a device's signals are stale: as configured, else three
// polls, else 90 s where the device speaks by itself (contract, nursing-home.yaml).
func staleAfter(d drivers.Device) time.Duration {
	switch {
	case d.Stale > 0:
		return d.Stale
	case d.Every > 0:
		return 3 * d.Every
	}
	return 90 * time.Second
}

func (l *live) add(d *device, owner string, s *drivers.Signal, now time.Time) *signal {
	key := owner + "." + s.ID
	sig := &signal{Signal: s, device: d, since: now, Reading: drivers.Reading{Signal: key}}
	l.signals[key] = sig
	return sig
}

// find is the signal of a key, nil where nobody has it. Batches come in the order of a device's signals, so the one that
// followed last time is tried first: that costs a comparison of two pointers, where a look-up costs a hash.
func (l *live) find(key string) *signal {
	if l.found != nil && l.found.next != nil && l.found.next.Reading.Signal == key {
		l.found = l.found.next
		return l.found
	}
	s := l.signals[key]
	if s != nil {
		if l.found != nil {
			l.found.next = s
		}
		l.found = s
	}
	return s
}

// device is the device of a signal's key, nil for an endpoint's link and for a key that nobody has.
func (l *live) device(key string) *device {
	if s := l.find(key); s != nil {
		return s.device
	}
	return nil
}

// note takes a batch in and answers it with what it says about its devices and endpoint added, and without readings of
// signals that nobody has. The answer takes the place of the batch, in its array where that has room.
func (l *live) note(now time.Time, batch []drivers.Reading) []drivers.Reading {
	kept := batch[:0]
	var touched []*device
	for i := range batch {
		s := l.find(batch[i].Signal)
		if s == nil {
			continue
		}
		kept = append(kept, batch[i])
		r := &kept[len(kept)-1]
		s.doubt(r)
		old := r.Retained // what a broker kept is no sign of life, news or not
		s.news(now, r)
		s.set(now, r)
		if s.device != nil && r.Quality == drivers.Bad {
			s.device.failures.count(*r)
		}
		if d := s.device; d != nil && (len(touched) == 0 || touched[len(touched)-1] != d) {
			touched = append(touched, d)
		}
		if s.device != nil && r.Quality != drivers.Bad && !old {
			s.device.goodAt = now
		}
		if s.device == nil && s.ID == drivers.LinkSignal {
			// Clipped, so that what is added goes elsewhere than over what is still to be read of the batch.
			kept = l.linked(now, slices.Clip(kept), strings.TrimSuffix(r.Signal, "."+drivers.LinkSignal), *r)
		}
	}
	for _, d := range touched {
		kept = d.answers(now, kept)
	}
	return kept
}

// ownAhead is the most that a time of a device's own is believed to be before ours.
const ownAhead = 10 * time.Minute

// news makes a retained message one like any other where its own time is later than the latest that was seen of the signal: it
// happened while nobody listened (row MQ05). A latest time that cannot be, because our own clock was wrong when it was believed, is
// forgotten: it would make nothing news for as long as it is ahead.
func (s *signal) news(now time.Time, r *drivers.Reading) {
	if !r.OwnTime {
		return
	}
	if s.own.Sub(now) > ownAhead {
		s.own = time.Time{}
	}
	if r.Retained && !s.own.IsZero() && r.Time.After(s.own) {
		r.Retained = false
	}
	if r.Time.After(s.own) {
		s.own = r.Time
	}
}

// linked adds what a change of an endpoint's connection says about its devices: while it is gone nothing is known of them.
func (l *live) linked(now time.Time, batch []drivers.Reading, endpoint string, r drivers.Reading) []drivers.Reading {
	ls := l.links[endpoint]
	if r.Value == 1 {
		ls.lastErr = ""
		for _, d := range ls.devices {
			if !ls.down.IsZero() {
				d.goodAt = d.goodAt.Add(now.Sub(ls.down)) // while nobody listened it was not silent
			}
		}
		ls.down = time.Time{}
		return batch
	}
	ls.lastErr = r.Detail
	if ls.down.IsZero() {
		ls.down = now
	}
	for _, d := range ls.devices {
		if d.Disabled {
			continue
		}
		for _, s := range append([]*signal{d.online}, d.signals...) {
			if s.seen() {
				batch = s.make(now, batch, drivers.Offline, r.Detail)
			}
		}
	}
	return batch
}

// answers adds the device's online signal where it changed: 1 as soon as a good reading came, 0 as soon as the device
// itself says that it is offline.
func (d *device) answers(now time.Time, batch []drivers.Reading) []drivers.Reading {
	online, gone := false, len(d.signals) > 0
	for _, s := range d.signals {
		online = online || s.Quality != drivers.Bad && !s.Retained
		gone = gone && (s.Quality == drivers.Bad && s.Reason == drivers.Offline || s.Optional && !s.seen())
	}
	switch {
	case gone && d.link.up():
		return d.setOnline(now, batch, 0, "the device said that it is offline")
	case online && d.goodAt.Equal(now):
		return d.setOnline(now, batch, 1, "")
	}
	return batch
}

func (d *device) setOnline(now time.Time, batch []drivers.Reading, value float64, detail string) []drivers.Reading {
	if d.online.Quality == drivers.Good && d.online.Value == value {
		return batch
	}
	r := drivers.Reading{Signal: d.online.Reading.Signal, Time: now, Value: value, Quality: drivers.Good, Detail: detail}
	d.online.set(now, &r)
	return append(batch, r)
}

func (ls *linkState) up() bool { return ls.signal.Quality == drivers.Good && ls.signal.Value == 1 }

// expire answers what silence says: signals without a good reading for their stale time become stale, and a device
// without any is not online. Signals that a device speaks of by itself expire with the device.
func (l *live) expire(now time.Time) []drivers.Reading {
	var batch []drivers.Reading
	for _, d := range l.devices {
		if d.Disabled {
			for _, s := range d.signals {
				batch = s.make(now, batch, drivers.Disabled, "taken out of service in the configuration")
			}
			continue
		}
		if !d.link.up() {
			continue
		}
		silent := d.silent(now) > d.Stale
		for _, s := range d.signals {
			if s.Quality != drivers.Bad && (silent || d.Every > 0 && now.Sub(s.at) > d.Stale) {
				batch = s.make(now, batch, drivers.Stale, "no new value for "+d.Stale.String())
			}
		}
		if silent {
			batch = d.setOnline(now, batch, 0, "no good value for "+d.Stale.String())
		}
	}
	return batch
}

// silent is how long the device has said nothing good while somebody listened.
func (d *device) silent(now time.Time) time.Duration {
	if !d.link.down.IsZero() {
		now = d.link.down
	}
	return now.Sub(d.goodAt)
}

// seen tells whether anything was ever known of the signal.
func (s *signal) seen() bool { return !s.Reading.Time.IsZero() }

// make adds a bad reading of the hub's own, unless the signal is already bad for that reason.
func (s *signal) make(now time.Time, batch []drivers.Reading, reason drivers.Reason, detail string) []drivers.Reading {
	if s.Quality == drivers.Bad && s.Reason == reason {
		return batch
	}
	r := drivers.Reading{Signal: s.Reading.Signal, Time: now, Reason: reason, Detail: detail}
	s.set(now, &r)
	return append(batch, r)
}

func (s *signal) set(now time.Time, r *drivers.Reading) {
	if !s.seen() || r.Quality != s.Quality || r.Reason != s.Reason {
		s.since = now
	}
	s.Reading, s.at = *r, now
	s.Raw = nil // live state keeps no driver's buffer
	if r.Quality != drivers.Bad {
		s.good = good{r.Time, r.Value}
	}
}

// label is a text, the word of an enum, or the names of the flags that are set; "" where the number says it all.
func (s *signal) label() string {
	if s.Of().Form == drivers.Text {
		return s.Detail
	}
	for word, code := range s.Enum {
		if float64(code) == s.Value {
			return word
		}
	}
	var set []string
	for bit := range 64 {
		if name := s.Flags[bit]; name != "" && uint64(s.Value)&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", ")
}
