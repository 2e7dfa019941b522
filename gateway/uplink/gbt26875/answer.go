package gbt26875

import (
	"context"
	"strconv"
	"strings"
	"time"

	"embergate/gateway/alarm"
)

const (
	mostHeard    = 20 // frames of a centre in a second; one that sends more is left
	betweenCalls = time.Minute
	callTime     = 5 * time.Second // until the home has taken a call for a duty check
	clockLogged  = time.Minute     // between two lines about the centre's clock
)

// Answer deals with what the centre sends of itself. A confirmation for which nobody waits is dropped. What was damaged, or
// is not for us to do, is denied (6.2, 6.4).
func (s *session) Answer(ctx context.Context, f received) error {
	now := time.Now()
	if now.Sub(s.second) >= time.Second {
		s.second, s.heard = now, 0
	}
	if s.heard++; s.heard > mostHeard {
		return errFlood
	}
	if f.command == confirm || f.command == deny || f.command == reply {
		return nil
	}
	back := frame{serial: f.serial, destination: f.source, command: deny}
	switch {
	case f.damaged || len(f.unit) < 2:
	case f.command == request:
		if data := s.u.read(s.u.local(now), kind(f.unit[0]), int(f.unit[1]), f.unit[2:]); data != nil {
			back.command, back.unit = reply, data
		}
	case f.command == control:
		if s.obey(ctx, now, f.frame) {
			back.command = confirm
		}
	}
	return s.write(back)
}

// obey carries a command out, or tells that it does not. The centre neither sets the clock, which has better sources, nor
// starts the gateway anew: either would hold up an alarm.
func (s *session) obey(ctx context.Context, now time.Time, f frame) bool {
	u := s.u
	data := f.unit[2:]
	switch kind(f.unit[0]) {
	case setClock: // 8.3.2.15
		theirs, ok := readLabel(data, u.o.Location)
		if ok && now.Sub(u.clockAt) >= clockLogged {
			u.clockAt = now
			u.o.Log.Info("the fire centre told its time, the clock is not set by it", "ahead", theirs.Sub(now).Round(time.Second))
		}
		return ok
	case callDuty: // 8.3.2.16: minutes to answer
		if now.Sub(u.called) < betweenCalls {
			return u.heeded && f.serial == u.call // the confirmation got lost
		}
		if len(data) < 1 {
			return false
		}
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		err := s.acts.OrderCheck(ctx, time.Duration(data[0])*time.Minute)
		u.called, u.call, u.heeded = now, f.serial, err == nil
		u.o.Log.Info("the fire centre called for a duty check", "minutes", data[0], "err", err)
		return err == nil
	}
	return false
}

// read is the answer to a request, nil where there is none. count is what the centre says that data holds.
func (u *Uplink) read(at time.Time, k kind, count int, data []byte) []byte {
	open, known := u.states.alarms()
	if !known && (k == readSystemState || k == readPartState || k == readDeviceState) {
		return nil
	}
	switch k {
	case readSystemState:
		return u.readSystems(open, at, count, data)
	case readPartState, readPartValue, readPartConfig:
		return u.readParts(open, at, k, count, data)
	case readDeviceState:
		return unit(deviceState, stamp([]byte{u.ownState(open)}, at))
	case readDeviceVersion:
		first, second := version(u.o.Version)
		return unit(deviceVersion, []byte{first, second})
	case readDeviceTime:
		return unit(deviceTime, stamp(nil, at))
	}
	return nil
}

func (u *Uplink) readSystems(open []alarm.Alarm, at time.Time, count int, data []byte) []byte {
	now := u.systemStates(open)
	var objects [][]byte
	for i := 0; i < count && i < most[systemState] && len(data) >= 2*(i+1); i++ {
		asked := system{data[2*i], data[2*i+1]}
		if st, ok := now[asked]; ok {
			objects = append(objects, asked.object(st, at))
		}
	}
	if objects == nil {
		return nil
	}
	return unit(systemState, objects...)
}

func (u *Uplink) readParts(open []alarm.Alarm, at time.Time, k kind, count int, data []byte) []byte {
	with := map[kind]kind{readPartState: partState, readPartValue: partValue, readPartConfig: partConfig}[k]
	var objects [][]byte
	for i := 0; i < count && len(data) >= askedBytes*(i+1); i++ {
		p, known := u.plan.asked[[askedBytes]byte(data[askedBytes*i:])]
		switch {
		case !known:
		case with == partState:
			objects = append(objects, p.object(u.stateOf(open, p, nil), u.plan.texts[p], at))
		case with == partConfig:
			objects = append(objects, p.config(u.plan.texts[p]))
		default:
			objects = append(objects, u.valuesOf(u.plan.byPart[p])...)
		}
	}
	if objects == nil {
		return nil
	}
	return unit(with, objects[:min(len(objects), most[with])]...)
}

// version is the first two numbers of a version, such as v1.2.3; 0 where there are none.
func version(text string) (first, second uint8) {
	numbers := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	read := func(i int) uint8 {
		if i >= len(numbers) {
			return 0
		}
		n, err := strconv.ParseUint(numbers[i], 10, 8)
		if err != nil {
			return 0
		}
		return uint8(n)
	}
	return read(0), read(1)
}
