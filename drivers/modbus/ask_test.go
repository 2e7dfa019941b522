package modbus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

// Rows MB04 and MB34: who does not want to wait for the next period reads through the queue of the poller, and the period goes on.
func TestReadNowIsAPollOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		r := start(t, one(t, p, tcpURL, `every: 1m, signals: [{id: a, kind: number, at: "holding:1"}, {id: b, kind: number, at: "holding:200"}]`))
		if _, err := r.ReadNow(t.Context(), "nobody"); !errors.Is(err, errNotConnected) {
			t.Errorf("a device that there is not: %v", err)
		}
		time.Sleep(20 * time.Second) // after the first poll
		readings, err := r.ReadNow(t.Context(), "d")
		if err != nil || len(readings) != 2 || readings[0].Value != 1 || readings[1].Value != 200 || time.Since(readings[0].Time) > time.Second {
			t.Fatalf("%+v, %v", readings, err)
		}
		if n := len(p.seen()); n != 4 {
			t.Errorf("%d requests after two polls, want 4", n)
		}
		time.Sleep(50 * time.Second) // 70 s after the start
		if n := len(p.seen()); n != 6 {
			t.Errorf("%d requests after the second period, want 6: the period did not go on", n)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if n := len(r.batches); n != 4 {
			t.Errorf("%d batches, want the link and three polls: what is asked for reaches the hub too", n)
		}
		if _, err := r.ReadNow(context.Background(), "d"); !errors.Is(err, errNotConnected) {
			t.Errorf("while it does not run: %v", err)
		}
	})
}

// A device behind its time is still read for who asks, and one that is in back-off is probed at once.
func TestReadNowProbesADeadUnitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(byte, []byte) reply { return reply{} }}
		r := start(t, one(t, p, tcpURL+", retries: 0, timeout: 100ms", `every: 1s, signals: [{id: a, kind: number, at: "holding:1"}]`))
		time.Sleep(40 * time.Second)
		readings, err := r.ReadNow(t.Context(), "d")
		if err != nil || readings[0].Reason != drivers.Timeout {
			t.Fatalf("%+v, %v", readings, err)
		}
		p.become(echo)
		readings, err = r.ReadNow(t.Context(), "d")
		if err != nil || readings[0].Quality != drivers.Good {
			t.Fatalf("%+v, %v", readings, err)
		}
		before := len(p.seen())
		time.Sleep(2100 * time.Millisecond)
		if n := len(p.seen()) - before; n < 2 {
			t.Errorf("%d polls in two periods after it came back", n)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// Row MB34: units and registers that nobody configured are looked at through the queue of the wire.
func TestAnyUnitIsLookedAtWhileTheDriverPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			switch {
			case unit == 9:
				return reply{}
			case pdu[0] == encapsulated:
				return reply{pdu: []byte{encapsulated | 0x80, 1}}
			case pdu[0] == reportServerID:
				return reply{pdu: append([]byte{reportServerID, 9}, "Gasworks\xff"...)}
			}
			return echo(unit, pdu)
		}}
		d := one(t, p, tcpURL+", retries: 0, timeout: 100ms", `signals: [{id: a, kind: number, at: "holding:1"}]`)
		if _, err := d.Look(t.Context(), 2); !errors.Is(err, errNotConnected) {
			t.Errorf("before it runs: %v", err)
		}
		r := start(t, d)
		time.Sleep(10 * time.Millisecond)
		u, err := r.Look(t.Context(), 2)
		if err != nil || !u.There || u.Answered != "holding 0 = 0000" || !strings.Contains(u.Identity, "Gasworks") {
			t.Errorf("%+v, %v", u, err)
		}
		if u, err := r.Look(t.Context(), 9); err != nil || u.There {
			t.Errorf("nobody there: %+v, %v", u, err)
		}
		raw, err := r.Registers(t.Context(), 2, "input:258", 2)
		if err != nil || !bytes.Equal(raw, []byte{1, 2, 1, 3}) {
			t.Errorf("% x, %v", raw, err)
		}
		for _, at := range []string{"40001", "holding:1.2", "holding:65535"} {
			if _, err := r.Registers(t.Context(), 2, at, 2); err == nil {
				t.Errorf("%s was read", at)
			}
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// Row MB33: frames are logged for as long as somebody wants it, per device.
func TestFramesAreLoggedWhileSomebodyWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		d := one(t, p, tcpURL, `every: 1s, signals: [{id: a, kind: number, at: "holding:1"}]`)
		var log bytes.Buffer
		d.devices[0].trace.log = slog.New(slog.NewTextHandler(&log, nil))
		r := start(t, d)
		time.Sleep(2500 * time.Millisecond)
		if r.LogFrames("nobody", time.Now().Add(time.Minute)) || log.Len() > 0 {
			t.Errorf("logged without being asked: %s", log.String())
		}
		r.LogFrames("d", time.Now().Add(2*time.Second))
		time.Sleep(10 * time.Second)
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), `msg=frame device=d sent=true bytes="`); n != 2 || strings.Count(log.String(), "sent=false") != 2 {
			t.Errorf("%d requests logged, want those of two periods:\n%s", n, log.String())
		}
	})
}

// TestADeviceIsTriedBeforeItIsConfigured (UI09): over the wire of the driver that runs, once, behind everything else; nothing is emitted.
func TestADeviceIsTriedBeforeItIsConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if unit == 9 {
				return reply{}
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL+", retries: 0", `every: 1h, signals: [{id: a, kind: number, at: "holding:1"}]`))
		time.Sleep(20 * time.Second)
		next := func(unit string) drivers.Driver {
			return configure(t, p.dial, `endpoints: [{modbus: {`+tcpURL+`}, devices: [{id: fresh, unit: `+unit+`, signals: [{id: a, kind: number, at: "holding:7"}, {id: b, kind: voltage, at: "holding:300", scale: 0.1}]}]}]`)[0]
		}
		readings, err := r.Try(t.Context(), next("5"), "fresh")
		if err != nil || len(readings) != 2 || readings[0].Signal != "fresh.a" || readings[0].Value != 7 || readings[1].Value != 30 {
			t.Errorf("%+v, %v", readings, err)
		}
		readings, err = r.Try(t.Context(), next("9"), "fresh")
		if err != nil || len(readings) != 2 || readings[0].Reason != drivers.Timeout || readings[0].Quality != drivers.Bad {
			t.Errorf("one that is silent: %+v, %v", readings, err)
		}
		if _, err := r.Try(t.Context(), next("5"), "other"); err == nil {
			t.Error("a device that there is not was read")
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := r.Try(ended, next("5"), "fresh"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if n := len(r.batches); n != 2 {
			t.Errorf("%d batches, want the link and one poll", n)
		}
		if _, err := r.Try(t.Context(), next("5"), "fresh"); !errors.Is(err, errNotConnected) {
			t.Errorf("while it does not run: %v", err)
		}
	})
}
