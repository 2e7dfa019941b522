package gbt26875

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	s := &session{u: u, j: j, acts: acts, conn: conn, in: make(chan received, 16), systems: map[system]state{}}
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
	for {
		events, ok := u.feed.Next(ctx, s.j, eventsLoad)
		if !ok || len(events) == 0 {
			if ok {
				clear(u.ahead) // their events are past
			}
			return ok, nil
		}
		if len(events) > 1 {
			if err := s.firesFirst(ctx, events[0].Time); err != nil {
				return false, err
			}
		}
		for len(events) > 0 {
			k, words, n := s.group(events)
			if len(words) > 0 {
				objects := make([][]byte, len(words))
				for i, w := range words {
					objects[i] = w.object
				}
				if err := s.deliver(ctx, unit(k, objects...)); err != nil {
					return false, err
				}
			}
			for _, w := range words {
				if k == partState {
					u.sent[w.part] = w.state
				}
			}
			u.feed.Pass(events[n-1])
			u.feed.Save(ctx, s.j)
			events = events[n:]
		}
	}
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

// firesFirst tells of fires that were raised after a time, and so wait behind what happened then. Source: GB 26875.1-2011, 4.1.2.3.
func (s *session) firesFirst(ctx context.Context, after time.Time) error {
	u := s.u
	open := u.openAlarms()
	for _, a := range open {
		if u.plan.bits(a)&fire == 0 || !a.RaisedAt.After(after) {
			continue
		}
		if _, early := u.ahead[a.ID]; early {
			continue
		}
		p, text := u.plan.partOf(a)
		st := u.stateOf(open, p, &a)
		if err := s.deliver(ctx, unit(partState, p.object(st, text, a.RaisedAt.In(u.o.Location)))); err != nil {
			return err
		}
		u.ahead[a.ID], u.sent[p] = a.Count, st
	}
	return nil
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
	if objects := s.changed(open, at); len(objects) > 0 {
		return true, s.deliver(ctx, unit(systemState, objects...))
	}
	if own := u.ownState(open); own != s.own || now.Sub(s.ownAt) >= u.settings.Heartbeat {
		s.own, s.ownAt = own, now
		return true, s.deliver(ctx, unit(deviceState, stamp([]byte{own}, at)))
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
	return true, s.deliver(ctx, unit(partValue, objects...))
}

// correct tells the states of parts as they are now.
func (s *session) correct(ctx context.Context, open []alarm.Alarm, parts []part, at time.Time) error {
	var objects [][]byte
	states := map[part]state{}
	for _, p := range parts {
		states[p] = s.u.stateOf(open, p, nil)
		objects = append(objects, p.object(states[p], s.u.plan.texts[p], at))
	}
	if err := s.deliver(ctx, unit(partState, objects...)); err != nil {
		return err
	}
	maps.Copy(s.u.sent, states)
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
			objects = append(objects, u.plan.parts[u.plan.device[key]].value(v, r.Time.In(u.o.Location)))
		}
	}
	return objects
}

var (
	errSilent = errors.New("the centre does not confirm")
	errFlood  = errors.New("the centre sends too much")
)

// deliver sends data until the centre confirms it. What it denies each time is noted as refused and is no error.
func (s *session) deliver(ctx context.Context, data []byte) error {
	u := s.u
	f := frame{serial: u.serial, destination: u.settings.destination, command: sendData, unit: data}
	u.serial++
	denied := false
	for range tries {
		if err := s.write(f); err != nil {
			u.o.Observe("retry")
			return err
		}
		answer, err := s.await(ctx, f.serial)
		if err != nil {
			u.o.Observe("retry")
			return err
		}
		now := time.Now()
		if answer == confirm {
			u.o.Observe("accepted")
			u.stand.Works(now)
			return nil
		}
		if denied = answer == deny; !denied {
			u.o.Observe("retry")
		}
	}
	if !denied {
		return errSilent
	}
	now := time.Now()
	u.o.Observe("refused")
	words := fmt.Sprintf("the centre denied a packet of type %d with %d objects", data[0], data[1])
	if words != u.stand.Status().Refusal {
		u.o.Log.Warn("packet refused", "type", data[0], "objects", data[1])
	}
	u.stand.Works(now) // it is there, and answers
	u.stand.Rejected(now, int(data[1]), words)
	return nil
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
			return 0, context.Cause(s.gone)
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
