package gbt26875

import (
	"slices"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// states is the latest of what is not in the journal. It is as large as the configuration.
type states struct {
	mu     sync.Mutex
	values map[string]drivers.Reading // the latest of a signal, where it is good
	fresh  map[string]bool            // those that came since the last round
	open   []alarm.Alarm
	first  []alarm.Alarm // the list that came first: alarms of an earlier run, which are in the journal
	listed bool          // alarms are known
}

func (st *states) take(batch []drivers.Reading, wanted map[string]scale) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, r := range batch {
		if _, ok := wanted[r.Signal]; !ok || r.Retained {
			continue
		}
		if r.Quality != drivers.Good {
			delete(st.values, r.Signal) // whoever asks gets no value that is past
			continue
		}
		r.Raw, r.Detail = nil, ""
		st.values[r.Signal] = r
		if st.fresh == nil {
			st.fresh = map[string]bool{}
		}
		st.fresh[r.Signal] = true
	}
}

// list answers the signals that have a value since the last time, in order.
func (st *states) list() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	keys := make([]string, 0, len(st.fresh))
	for key := range st.fresh {
		keys = append(keys, key)
	}
	clear(st.fresh)
	slices.Sort(keys)
	return keys
}

func (st *states) value(key string) (drivers.Reading, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	r, ok := st.values[key]
	return r, ok
}

func (st *states) setAlarms(open []alarm.Alarm) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.listed {
		st.first = open
	}
	st.open, st.listed = open, true
}

// restored tells whether an alarm, with this trigger, is of an earlier run.
func (st *states) restored(a alarm.Alarm) bool {
	return slices.ContainsFunc(st.earlier(), func(f alarm.Alarm) bool { return f.ID == a.ID && f.Count == a.Count })
}

// earlier are the alarms of an earlier run.
func (st *states) earlier() []alarm.Alarm {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.first
}

// alarms are the open ones, as far as they are known.
func (st *states) alarms() (open []alarm.Alarm, known bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.open, st.listed
}

// openAlarms are the open ones.
func (u *Uplink) openAlarms() []alarm.Alarm {
	open, _ := u.states.alarms()
	return open
}

// stateOf is the state of a part, as of an event of one of its alarms, or now: what that alarm makes of it, and what its
// other open alarms do.
func (u *Uplink) stateOf(open []alarm.Alarm, at part, of *alarm.Alarm) state {
	st := normal
	if of != nil {
		st = u.plan.with(st, *of)
	}
	for _, a := range open {
		if of != nil && a.ID == of.ID {
			continue
		}
		if p, _ := u.plan.partOf(a); p == at {
			st = u.plan.with(st, a)
		}
	}
	return st &^ busFault // a part has no such bit
}

// systemStates are the states of all systems now.
func (u *Uplink) systemStates(open []alarm.Alarm) map[system]state {
	all := map[system]state{}
	for _, s := range u.plan.systems {
		all[s] = normal
	}
	for _, a := range open {
		p, _ := u.plan.partOf(a)
		all[p.system] = u.plan.with(all[p.system], a)
	}
	return all
}

// ownState is the state of the gateway now.
func (u *Uplink) ownState(open []alarm.Alarm) byte {
	own := ownNormal
	for _, st := range u.systemStates(open) {
		if st&normal == 0 {
			own &^= ownNormal
		}
		for bit, ours := range map[state]byte{fire: ownFire, fault: ownFault, powerFault: ownMains, busFault: ownWires} {
			if st&bit != 0 {
				own |= ours
			}
		}
	}
	return own
}

// word is what the centre is told of an event: one object.
type word struct {
	kind   kind
	object []byte
	part   part  // of a partState
	state  state // and what it is
}

// told is what the centre is told of an event; ok is false where that is nothing.
func (u *Uplink) told(e alarm.Event) (w word, ok bool) {
	if e.Alarm != nil && e.Alarm.Level == rules.LevelNotice {
		return w, false
	}
	at := u.local(e.Time)
	operator := u.plan.people[e.By]
	acted := func(a act) (word, bool) {
		return word{kind: deviceAct, object: stamp([]byte{byte(a), operator}, at)}, true
	}
	switch e.Type {
	case alarm.EventRaised, alarm.EventCounted, alarm.EventLowered, alarm.EventCleared, alarm.EventFaultRaised, alarm.EventFaultCleared,
		alarm.EventShelved, alarm.EventUnshelved, alarm.EventClosed:
		if e.Alarm == nil {
			return w, false
		}
		return u.became(e, at)
	case alarm.EventAcknowledged: // the device's own record has no bit for it
		if e.Alarm == nil || e.Alarm.Drill {
			return w, false
		}
		p, _ := u.plan.partOf(*e.Alarm)
		return word{kind: systemAct, object: p.acted(confirms, operator, at)}, true
	case alarm.EventSilenced:
		return acted(silence)
	case alarm.EventReset:
		return acted(reset)
	case "duty.answered":
		return acted(present)
	case "drill.started":
		return acted(tests)
	}
	return w, false
}

// became is what became of a part. The end of an alarm that had cleared says nothing new.
func (u *Uplink) became(e alarm.Event, at time.Time) (w word, ok bool) {
	// Of a fire that was told early the centre knows when it was raised, and what is older does not take it back.
	if count, early := u.ahead[e.Alarm.ID]; early && (e.Type == alarm.EventRaised || e.Type != alarm.EventCounted && e.Alarm.Count < count) {
		return w, false
	}
	p, text := u.plan.partOf(*e.Alarm)
	st := u.stateOf(u.openAlarms(), p, e.Alarm)
	if before, known := u.sent[p]; e.Type == alarm.EventClosed && known && before == st {
		return w, false
	}
	return word{partState, p.object(st, text, at), p, st}, true
}

// doubtFor is how long the list of alarms must differ from what the centre was told until it is believed: an event can be
// read from the journal a moment before the list has it.
const doubtFor = 2 * time.Second

// againAfter is when the state of a part that the centre did not take is told again, where it still holds.
const againAfter = time.Minute

// learned notes whether the centre knows the states of parts now.
func (u *Uplink) learned(states map[part]state, taken bool) {
	for at, st := range states {
		if taken {
			u.sent[at] = st
		} else {
			u.doubts[at] = time.Now().Add(againAfter - doubtFor)
		}
	}
}

// recall takes what was open at the start for told by an earlier run, or from the journal by this one.
func (u *Uplink) recall() {
	first := u.states.earlier()
	for _, a := range first {
		at, _ := u.plan.partOf(a)
		_, told := u.sent[at]
		if _, denied := u.doubts[at]; !told && !denied && a.Level != rules.LevelNotice {
			u.sent[at] = u.stateOf(first, at, nil)
		}
	}
	u.known = true
}

// differing are the parts of which the centre knows another state than the list of alarms says: what is not in the journal,
// since the disk refuses it, or was seen together with what came after it.
func (u *Uplink) differing(now time.Time, open []alarm.Alarm) (parts []part) {
	if !u.known {
		u.recall()
	}
	of := map[part]bool{}
	for at := range u.sent {
		of[at] = true
	}
	for _, a := range open {
		if a.Level == rules.LevelNotice {
			continue
		}
		at, text := u.plan.partOf(a)
		of[at] = true
		if _, device := u.plan.parts[a.Device]; !device {
			u.plan.texts[at] = text
		}
	}
	for at := range of {
		st := u.stateOf(open, at, nil)
		before, known := u.sent[at]
		if !known {
			before = normal
		}
		switch since, doubted := u.doubts[at]; {
		case st == before:
			delete(u.doubts, at)
		case !doubted:
			u.doubts[at] = now
		case now.Sub(since) >= doubtFor:
			parts = append(parts, at)
		}
	}
	return parts
}
