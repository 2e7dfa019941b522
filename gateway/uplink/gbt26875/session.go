package gbt26875

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
)

const (
	tries      = 4  // to send a packet: once, and three times again (6.5)
	eventsLoad = 22 // at once: as many as one packet takes
)

// session is one connection to the centre.
type session struct {
	u       *Uplink
	j       uplink.Journal
	acts    Acts
	conn    net.Conn
	in      chan received
	gone    context.Context // ends with the connection, for a cause
	end     context.CancelCauseFunc
	systems map[system]state // what was said of systems over this connection
	own     byte             // and of the gateway
	ownAt   time.Time        // when, zero before the first
	mute    map[kind]bool    // what the centre does not confirm, though it is there
	second  time.Time        // when what the centre sent in this second began
	heard   int              // frames for which nobody waited, in this second
	reading sync.WaitGroup
}

// received is a frame from the centre.
type received struct {
	frame
	damaged bool
}

// converse connects and sends until ctx ends, or the connection does.
func (u *Uplink) converse(ctx context.Context, j uplink.Journal, acts Acts) error {
	conn, err := u.dial(ctx)
	if err != nil {
		return fmt.Errorf("fire centre: %w", err)
	}
	s := &session{u: u, j: j, acts: acts, conn: conn, in: make(chan received, 16), systems: map[system]state{}, mute: map[kind]bool{}}
	s.gone, s.end = context.WithCancelCause(context.Background())
	s.reading.Go(s.read)
	defer s.reading.Wait()
	defer conn.Close()
	defer uplink.Leave(ctx, conn)()
	defer s.end(nil)
	if err := uplink.Talk(ctx, s.gone, s, u.Bell, s.in); err != nil {
		return fmt.Errorf("fire centre %s: %w", u.settings.Address, err)
	}
	return nil
}

// read hands the frames of the connection to Talk.
func (s *session) read() {
	var scan scanner
	buffer := make([]byte, mostFrame)
	for {
		n, err := s.conn.Read(buffer)
		scan.take(buffer[:n], func(f frame, damaged bool) {
			f.unit = slices.Clone(f.unit)
			select {
			case s.in <- received{f, damaged}:
			case <-s.gone.Done():
			}
		})
		if err != nil {
			s.end(fmt.Errorf("the connection is lost: %w", err))
			return
		}
	}
}

// Events sends what the journal has after our place.
func (s *session) Events(ctx context.Context) (done bool, err error) {
	u := s.u
	if !u.begin(ctx, s.j) {
		return false, nil
	}
	for {
		events, ok := u.feed.Next(ctx, s.j, eventsLoad)
		if !ok || len(events) == 0 {
			if ok {
				clear(u.ahead) // their events are past
			}
			return ok && u.numbers, nil
		}
		for len(events) > 0 {
			if len(events) > 1 {
				if err := s.firesFirst(ctx, events[0].Time); err != nil {
					return false, err
				}
			}
			n, err := s.tell(ctx, events)
			if err != nil {
				return false, err
			}
			u.feed.Pass(events[n-1])
			u.feed.Save(ctx, s.j)
			events = events[n:]
		}
	}
}

// tell sends one packet of what the first n of events say.
func (s *session) tell(ctx context.Context, events []alarm.Event) (n int, err error) {
	k, words, n := s.group(events)
	if len(words) > 0 {
		objects, states := make([][]byte, len(words)), map[part]state{}
		for i, w := range words {
			objects[i] = w.object
			if k == partState {
				states[w.part] = w.state
			}
		}
		taken, err := s.deliver(ctx, unit(k, objects...))
		if err != nil {
			return 0, err
		}
		s.u.learned(states, taken)
	}
	for _, e := range events[:n] {
		if e.Alarm != nil && !e.Alarm.Active() {
			s.u.ahead[e.Alarm.ID] = max(e.Alarm.Count, s.u.ahead[e.Alarm.ID]) // the list of alarms may be older than this
		}
	}
	return n, nil
}

// group takes from the beginning of events as many as one packet tells: of n events the words of one kind.
func (s *session) group(events []alarm.Event) (k kind, words []word, n int) {
	for _, e := range events {
		w, ok := s.u.told(e)
		switch {
		case !ok:
		case len(words) == 0:
			k, words = w.kind, []word{w}
		case w.kind != k || len(words) == most[k]:
			return k, words, n
		default:
			words = append(words, w)
		}
		n++
	}
	return k, words, n
}

// firesFirst tells of fires that the centre has not heard of, and that wait behind what happened at a time. Source: GB
// 26875.1-2011, 4.1.2.3.
func (s *session) firesFirst(ctx context.Context, after time.Time) error {
	u := s.u
	open := u.openAlarms()
	for _, a := range open {
		p, text := u.plan.partOf(a)
		if u.plan.bits(a)&fire == 0 || !u.unheard(a, p, after) {
			continue
		}
		st := u.stateOf(open, p, &a)
		taken, err := s.deliver(ctx, unit(partState, p.object(st, text, u.local(a.RaisedAt))))
		if err != nil {
			return err
		}
		if taken {
			u.ahead[a.ID] = a.Count
		}
		u.learned(map[part]state{p: st}, taken)
	}
	return nil
}

// unheard tells whether the centre has yet to hear of a fire, and has not just denied it. Of one that was open at the start it
// has heard, unless that was raised after a time.
func (u *Uplink) unheard(a alarm.Alarm, p part, after time.Time) bool {
	if count, early := u.ahead[a.ID]; early && count >= a.Count || u.sent[p]&fire != 0 || u.doubts[p].After(time.Now()) {
		return false
	}
	return u.new || !u.states.restored(a) || a.RaisedAt.After(after)
}

// Latest sends one packet of what is due besides events.
func (s *session) Latest(ctx context.Context) (more bool, err error) {
	u := s.u
	open, known := u.states.alarms()
	if !known || len(u.Bell) > 0 {
		return false, nil // nothing is known to be normal yet; and events go first
	}
	now := time.Now()
	at := now.In(u.o.Location)
	if parts := u.differing(now, open); len(parts) > 0 {
		return true, s.correct(ctx, open, parts[:min(len(parts), most[partState])], at)
	}
	if u.new && u.begun && len(u.doubts) == 0 {
		u.new = s.j.Set(ctx, u.key("told"), now.UTC().Format(time.RFC3339)) != nil
	}
	if objects := s.changed(open, at); len(objects) > 0 {
		_, err := s.deliver(ctx, unit(systemState, objects...))
		return true, err
	}
	if own := u.ownState(open); own != s.own || now.Sub(s.ownAt) >= u.settings.Heartbeat {
		s.own, s.ownAt = own, now
		_, err := s.deliver(ctx, unit(deviceState, stamp([]byte{own}, at)))
		return true, err
	}
	if len(u.due) == 0 && now.Sub(u.round) >= u.settings.Every {
		u.due, u.round = u.states.list(), now
	}
	if len(u.due) == 0 {
		return false, nil
	}
	n := min(len(u.due), most[partValue])
	objects := u.valuesOf(u.due[:n])
	u.due = u.due[n:]
	if len(objects) == 0 {
		return true, nil
	}
	_, err = s.deliver(ctx, unit(partValue, objects...))
	return true, err
}

// correct tells the states of parts as they are now.
func (s *session) correct(ctx context.Context, open []alarm.Alarm, parts []part, at time.Time) error {
	var objects [][]byte
	states := map[part]state{}
	for _, p := range parts {
		states[p] = s.u.stateOf(open, p, nil)
		objects = append(objects, p.object(states[p], s.u.plan.texts[p], at))
	}
	taken, err := s.deliver(ctx, unit(partState, objects...))
	if err != nil {
		return err
	}
	s.u.learned(states, taken)
	return nil
}

// changed are the states of systems that changed, or all of them over a new connection.
func (s *session) changed(open []alarm.Alarm, at time.Time) (objects [][]byte) {
	u := s.u
	now := u.systemStates(open)
	for _, sys := range u.plan.systems {
		if len(objects) == most[systemState] {
			break
		}
		if before, known := s.systems[sys]; !known || before != now[sys] {
			s.systems[sys] = now[sys]
			objects = append(objects, sys.object(now[sys], at))
		}
	}
	return objects
}

// valuesOf are the latest values of signals; one that is out of the range of its type is left out.
func (u *Uplink) valuesOf(keys []string) (objects [][]byte) {
	for _, key := range keys {
		r, known := u.states.value(key)
		if !known {
			continue
		}
		if v, ok := u.plan.analogs[key].steps(r.Value); ok {
			objects = append(objects, u.plan.parts[u.plan.device[key]].value(v, u.local(r.Time)))
		}
	}
	return objects
}

var (
	errSilent = errors.New("the centre does not confirm")
	errFlood  = errors.New("the centre sends too much")
)

// deliver sends data until the centre confirms it. What it does not take is noted as refused and is no error: what it denies
// each time, or leaves without an answer, states of parts excepted, while it answers to what comes behind.
func (s *session) deliver(ctx context.Context, data []byte) (taken bool, err error) {
	k := kind(data[0])
	if s.mute[k] {
		s.refused(k, data[1], "does not confirm")
		return false, nil
	}
	answer, err := s.send(ctx, data)
	switch {
	case err != nil:
		return false, err
	case answer == confirm:
		s.u.o.Observe("accepted")
		s.u.stand.Works(time.Now())
		return true, nil
	case answer == deny:
		s.refused(k, data[1], "denied")
		return false, nil
	case k == partState || k == deviceState:
		return false, errSilent
	}
	open, known := s.u.states.alarms()
	if !known {
		return false, errSilent
	}
	if _, err := s.deliver(ctx, unit(deviceState, stamp([]byte{s.u.ownState(open)}, s.u.local(time.Now())))); err != nil {
		return false, err
	}
	s.mute[k] = true
	s.refused(k, data[1], "does not confirm")
	return false, nil
}

// send sends data until there is an answer, and again three times: confirm, deny to the last, or 0.
func (s *session) send(ctx context.Context, data []byte) (answer command, err error) {
	u := s.u
	f := frame{serial: u.serial, destination: u.settings.destination, command: sendData, unit: data}
	u.serial++
	for range tries {
		if err = s.write(f); err == nil {
			answer, err = s.await(ctx, f.serial)
		}
		if err != nil || answer == 0 {
			u.o.Observe("retry")
		}
		if err != nil || answer == confirm {
			return answer, err
		}
	}
	return answer, nil
}

// refused notes that the centre, which is there and answers, does not take a packet.
func (s *session) refused(k kind, objects uint8, how string) {
	u, now := s.u, time.Now()
	u.o.Observe("refused")
	words := fmt.Sprintf("the centre %s a packet of type %d with %d objects", how, k, objects)
	if words != u.stand.Status().Refusal {
		u.o.Log.Warn("packet refused", "how", how, "type", k, "objects", objects)
	}
	u.stand.Works(now)
	u.stand.Rejected(now, int(objects), words)
}

// await waits for the answer to a packet: confirm, deny, or 0 where there is none in time. What else comes is dealt with.
func (s *session) await(ctx context.Context, serial uint16) (command, error) {
	timeout := time.NewTimer(s.u.settings.Timeout)
	defer timeout.Stop()
	for {
		select {
		case f := <-s.in:
			if f.serial == serial && !f.damaged && (f.command == confirm || f.command == deny) {
				return f.command, nil
			}
			if err := s.Answer(ctx, f); err != nil {
				return 0, err
			}
		case <-s.gone.Done():
			if len(s.in) == 0 { // else it said something before it left
				return 0, context.Cause(s.gone)
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timeout.C:
			return 0, nil
		}
	}
}

// write sends a frame as from here and now.
func (s *session) write(f frame) error {
	now := time.Now()
	f.user, f.source, f.time = s.u.settings.UserVersion, s.u.settings.source, label(now.In(s.u.o.Location))
	if err := s.conn.SetWriteDeadline(now.Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(f.encode())
	return err
}
