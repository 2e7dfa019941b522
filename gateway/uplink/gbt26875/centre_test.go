package gbt26875

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
	"embergate/gateway/uplink/uplinktest"

	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// centre is a monitoring centre behind pipes that can be away, silent or unwilling. It keeps what it hears.
type centre struct {
	t testing.TB

	mu      sync.Mutex
	away    bool
	answers func(f frame) command // confirm where nil; 0: nothing
	takes   time.Duration         // to answer
	conn    net.Conn
	dials   int
	heard   []string // each object of each packet
	packets []frame
	at      []time.Time // of packets
}

func (c *centre) dial(context.Context) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dials++
	if c.away {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	c.conn = theirs
	go c.serve(theirs)
	return ours, nil
}

func (c *centre) serve(conn net.Conn) {
	var s scanner
	buffer := make([]byte, 64)
	for {
		n, err := conn.Read(buffer)
		s.take(buffer[:n], func(f frame, damaged bool) {
			f.unit = bytes.Clone(f.unit)
			c.mu.Lock()
			c.packets, c.at = append(c.packets, f), append(c.at, time.Now())
			answer := confirm
			if c.answers != nil {
				answer = c.answers(f)
			}
			if answer == confirm && f.command == sendData {
				c.heard = append(c.heard, objects(f.unit)...)
			}
			takes := c.takes
			c.mu.Unlock()
			if damaged {
				c.t.Error("a packet is damaged")
			}
			time.Sleep(takes)
			if f.command == sendData && answer != 0 {
				back := frame{serial: f.serial, source: f.destination, destination: f.source, command: answer}
				_, _ = conn.Write(back.encode()) // the far end may be gone
			}
		})
		if err != nil {
			conn.Close()
			return
		}
	}
}

func (c *centre) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// answering answers packets of some kinds so, and confirms the others.
func answering(so command, kinds ...kind) func(frame) command {
	return func(f frame) command {
		if slices.Contains(kinds, kind(f.unit[0])) {
			return so
		}
		return confirm
	}
}

// take is what was heard since the last take but for the states of systems and of the gateway, and values, unless asked for.
func (c *centre) take(all bool) (heard []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.heard {
		if all || h[:4] == "part" || h[:3] == "act" || h[:4] == "oper" {
			heard = append(heard, h)
		}
	}
	c.heard = nil
	return heard
}

// sends sends from the centre.
func (c *centre) sends(b []byte) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	_, _ = conn.Write(b) // who floods is cut off
}

// answered is the last packet that was no data, with a serial number.
func (c *centre) answered(serial uint16) (f frame, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.packets {
		if p.command != sendData && p.serial == serial {
			f, ok = p, true
		}
	}
	return f, ok
}

// objects says what the objects of a unit say, read by the offsets of the standard and not by the code under test.
func objects(unit []byte) (said []string) {
	if len(unit) < 2 {
		return []string{fmt.Sprintf("nothing %x", unit)}
	}
	sizes := map[byte]int{1: 10, 2: 46, 3: 16, 4: 10, 7: 38, 21: 7, 24: 8, 25: 2, 28: 6}
	size := sizes[unit[0]]
	if len(unit) != 2+size*int(unit[1]) {
		return []string{fmt.Sprintf("a unit of %d bytes: %x", len(unit), unit)}
	}
	for o := unit[2:]; len(o) > 0; o = o[size:] {
		two := func(i int) uint16 { return binary.LittleEndian.Uint16(o[i:]) }
		text := func(i int) string {
			t, _ := simplifiedchinese.GB18030.NewDecoder().Bytes(bytes.TrimRight(o[i:i+31], "\x00"))
			return string(t)
		}
		at := func(i int) string {
			return fmt.Sprintf("20%02d-%02d-%02d %02d:%02d:%02d", o[i+5], o[i+4], o[i+3], o[i+2], o[i+1], o[i])
		}
		switch unit[0] {
		case 1:
			said = append(said, fmt.Sprintf("system %d.%d is %#x", o[0], o[1], two(2)))
		case 2:
			said = append(said, fmt.Sprintf("part %d.%d type %d at %d/%d is %#x (%s) %s", o[0], o[1], o[2], two(3), two(5), two(7), text(9), at(40)))
		case 3:
			said = append(said, fmt.Sprintf("value of %d.%d type %d at %d/%d: type %d, %d, %s", o[0], o[1], o[2], two(3), two(5), o[7], int16(two(8)), at(10)))
		case 4:
			said = append(said, fmt.Sprintf("act %#x by %d on %d.%d", o[2], o[3], o[0], o[1]))
		case 7:
			said = append(said, fmt.Sprintf("config of %d.%d type %d at %d/%d (%s)", o[0], o[1], o[2], two(3), two(5), text(7)))
		case 21:
			said = append(said, fmt.Sprintf("gateway is %#x", o[0]))
		case 24:
			said = append(said, fmt.Sprintf("operator %d: %#x", o[1], o[0]))
		case 25:
			said = append(said, fmt.Sprintf("version %d.%d", o[0], o[1]))
		case 28:
			said = append(said, "it is "+at(0))
		}
	}
	return said
}

// journal is a journal in memory whose disk can fail.
type journal struct{ uplinktest.Journal }

func (j *journal) add(u *Uplink, events ...alarm.Event) {
	for _, e := range events {
		j.Add(func(seq int64) alarm.Event {
			e.ID, e.Time = fmt.Sprint(seq), time.Now()
			return e
		})
	}
	u.Wake()
}

// home takes duty checks, or has nobody for them.
type home struct {
	mu    sync.Mutex
	empty bool
	asked []time.Duration
}

func (h *home) OrderCheck(_ context.Context, answer time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.empty {
		return errors.New("nobody is on duty")
	}
	h.asked = append(h.asked, answer)
	return nil
}

const plain = `{address: "centre.example.org:5200", source: "37030500-0007", destination: "88888"}`

// devices are a kitchen with a gas detector, a room with smoke detector and meter, and a thing that the standard has no word for.
func devices() []drivers.Device {
	return []drivers.Device{
		{ID: "kitchen-gas", Name: "厨房燃气", Zone: "kitchen", Signals: []drivers.Signal{{ID: "lel", Kind: "gas_lel"}, {ID: "temperature", Kind: "temperature"}}},
		{ID: "smoke-201", Name: "201烟感", Zone: "room", Signals: []drivers.Signal{{ID: "battery", Kind: "battery"}, {ID: "smoke", Kind: "smoke"}}},
		{ID: "meter", Name: "总电表", Zone: "room", Signals: []drivers.Signal{
			{ID: "ua", Kind: "voltage"}, {ID: "ub", Kind: "voltage"}, {ID: "ia", Kind: "current"}, {ID: "leak", Kind: "residual_current"}, {ID: "mains", Kind: "mains"}}},
		{ID: "door", Name: "门磁", Signals: []drivers.Signal{{ID: "open", Kind: "door"}}},
	}
}

// newUplink makes an uplink of its keys; c and log may be nil.
func newUplink(t testing.TB, yaml string, c *centre, log *bytes.Buffer) *Uplink {
	t.Helper()
	s := conf.Parse("uplink.yaml", []byte(yaml), conf.OS())
	o := Options{
		ID: "fire-centre", Version: "v2.7.1", Location: beijing, Devices: devices(), People: []string{"张三", "李四"},
		Zones: []Zone{{"kitchen", "一层 / 厨房"}, {"room", "二层 / 201室"}},
	}
	if log != nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	u := New(s, o)
	if p := s.Problems(); p != nil {
		t.Fatal(p)
	}
	if c != nil {
		u.dial = c.dial
	}
	return u
}

// start runs an uplink, that has run before, and answers what stops it and waits.
func start(t testing.TB, u *Uplink, j uplink.Journal, acts Acts) (stop func()) {
	ranBefore(t.Context(), j)
	return startFirst(t, u, j, acts)
}

// ranBefore leaves in a journal what an earlier run does.
func ranBefore(ctx context.Context, j uplink.Journal) {
	for key, value := range map[string]string{"uplink/fire-centre/events": "0 ", "uplink/fire-centre/told": "2000-01-01T00:00:00Z"} {
		if text, err := j.Get(ctx, key); err == nil && text == "" {
			_ = j.Set(ctx, key, value)
		}
	}
}

// running is an uplink that has run before and is connected to a centre, its journal, and what stops it and waits. Nothing is open.
func running(t testing.TB, c *centre) (u *Uplink, j *journal, stop func()) {
	u, j = newUplink(t, plain, c, nil), &journal{}
	u.Alarms(nil)
	stop = start(t, u, j, &home{})
	synctest.Wait()
	return u, j, stop
}

// startFirst runs an uplink and answers what stops it and waits.
func startFirst(t testing.TB, u *Uplink, j uplink.Journal, acts Acts) (stop func()) {
	return uplinktest.Start(t, func(ctx context.Context) error { return u.Run(ctx, j, acts) })
}

// gas is an alarm of the gas detector; smoke one of the smoke detector.
func gas(id string, state alarm.State) *alarm.Alarm {
	return &alarm.Alarm{ID: id, Class: "gas", Level: "alarm", State: state, Device: "kitchen-gas", Signal: "kitchen-gas.lel", Zone: "kitchen", Count: 1, RaisedAt: time.Now()}
}

func smoke(id string, state alarm.State) *alarm.Alarm {
	return &alarm.Alarm{ID: id, Class: "fire", Level: "alarm", State: state, Device: "smoke-201", Signal: "smoke-201.smoke", Zone: "room", Count: 1, RaisedAt: time.Now()}
}

func event(kind string, a *alarm.Alarm) alarm.Event {
	return alarm.Event{Type: kind, Alarm: a, By: "李四"}
}
