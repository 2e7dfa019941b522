// Package printer listens to what a fire alarm control panel prints: a stream of records on its printer port, straight at a
// serial line or through a transparent serial server.
//
// A printer port tells what happens and nothing else: no state at the start, no sign of life while all is quiet, and mostly no
// faults of the panel. So before the first record nothing is known (uncertain), a panel that has printed nothing for long is
// offline, and a record that cannot be read makes what was quiet bad until the panel prints one that can.
package printer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/serial"
)

// settings are the keys of an endpoint's printer section.
type settings struct {
	URL      string        `yaml:"url"`
	Format   string        `yaml:"format"`
	Baud     int           `yaml:"baud"`
	Parity   string        `yaml:"parity"`
	StopBits int           `yaml:"stop_bits"`
	DataBits int           `yaml:"data_bits"`
	Expire   time.Duration `yaml:"expire"` // without a record for so long: offline; 0: never
}

const (
	dialTimeout = 5 * time.Second
	repeat      = 30 * time.Second // how often the state is told while nothing is printed
	// Between two reads of up to 512 bytes: no printer speaks faster, and whoever does so behind a serial server waits.
	pace = 10 * time.Millisecond
	// The daily check of the panel by its staff ends with a reset, which is printed.
	usualExpire = 25 * time.Hour
)

// New makes the protocol.
func New() drivers.Protocol { return newDriver }

// driver listens to one panel.
type driver struct {
	drivers.Endpoint
	settings settings
	devices  []drivers.Device
	panel    panel
	printed  string // point and status of the last record
}

// port is a serial line or a TCP connection.
type port interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

func newDriver(e drivers.Endpoint) drivers.Driver {
	d := &driver{Endpoint: e, settings: settings{Format: "gst9000", Baud: 9600, Parity: "none", StopBits: 1, DataBits: 8, Expire: usualExpire}}
	s := e.Settings
	s.Decode(&d.settings)
	checkURL(s.At("url"), d.settings.URL)
	if d.settings.Format != "gst9000" {
		s.At("format").NotOneOf(d.settings.Format, []string{"gst9000"})
	}
	if serial.Speeds()[d.settings.Baud] == 0 {
		s.At("baud").Problem("%d is no speed of a serial line", d.settings.Baud)
	}
	allow(s.At("parity"), d.settings.Parity, "none", "even", "odd")
	allow(s.At("stop_bits"), fmt.Sprint(d.settings.StopBits), "1", "2")
	allow(s.At("data_bits"), fmt.Sprint(d.settings.DataBits), "7", "8")
	for _, section := range e.Devices {
		dev, _ := e.Device(section, "printer", &struct{}{})
		if dev.Every == 0 {
			dev.Every = repeat
		}
		if listed := section.At("signals").Items(); len(listed) == len(dev.Signals) {
			for i, sig := range dev.Signals {
				checkSignal(listed[i], sig)
			}
		}
		d.devices = append(d.devices, dev)
	}
	return d
}

func allow(s conf.Section, got string, allowed ...string) {
	for _, a := range allowed {
		if got == a {
			return
		}
	}
	s.NotOneOf(got, allowed)
}

func checkURL(s conf.Section, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err == nil && u.Scheme == "serial" && u.Host == "" && len(u.Path) > 1:
	case err == nil && u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && strings.Trim(u.Path, "/") == "":
	default:
		s.Problem("a printer port is serial:///dev/… or tcp://host:port of a serial server, not %q", raw)
	}
}

// checkSignal reports a signal that a panel cannot have.
func checkSignal(s conf.Section, sig drivers.Signal) {
	want := drivers.State
	switch {
	case sig.Path == pathCount:
		want = drivers.Number
	case sig.Path != pathAny && !pointPattern.MatchString(sig.Path):
		s.At("path").Problem("the path of a signal is any, count, or a point of the panel such as 004-017, not %q", sig.Path)
		return
	}
	if sig.Of().Form != want {
		s.At("kind").Problem("%s cannot be told by %s: any and points are states, count is a number", sig.Kind, sig.Path)
	}
	for _, key := range []string{"at", "json", "type", "order", "scale", "offset", "enum", "flags", "na", "writable"} {
		if s.At(key).Exists() {
			s.At(key).Problem("a panel that prints has no %s", key)
		}
	}
}

// Devices are the devices behind the endpoint.
func (d *driver) Devices() []drivers.Device { return d.devices }

// Run listens until ctx ends or the line is lost.
func (d *driver) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	p, err := d.open(ctx)
	if ctx.Err() != nil {
		if err == nil {
			p.Close()
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("printer %s: connect: %w", d.ID, err)
	}
	stop := context.AfterFunc(ctx, func() { p.Close() })
	defer func() {
		if stop() {
			p.Close()
		}
	}()
	emit(drivers.LinkUp(d.ID, time.Now()))
	err = d.listen(p, emit)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("printer %s: %w", d.ID, err)
}

func (d *driver) open(ctx context.Context) (port, error) {
	set := d.settings
	u, err := url.Parse(set.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "serial" {
		return serial.Open(u.Path, serial.Line{Baud: set.Baud, DataBits: set.DataBits, StopBits: set.StopBits, Parity: set.Parity})
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", u.Host)
}

// listen reads records until the port fails.
func (d *driver) listen(p port, emit func([]drivers.Reading)) error {
	now := time.Now()
	d.panel.connected(now, d.settings.Expire)
	d.tell(now, emit)
	var s scanner
	buffer := make([]byte, 512)
	for next, last := now.Add(repeat), now; ; {
		until := next
		if rest, begun := s.rest(); begun && last.Add(rest).Before(until) {
			until = last.Add(rest)
		}
		p.SetReadDeadline(until)
		n, err := p.Read(buffer)
		now = time.Now()
		records := s.feed(buffer[:n])
		if n > 0 {
			last = now
		} else {
			records = s.after(now.Sub(last))
		}
		news := true
		for _, r := range records {
			if news = d.take(now, r); news {
				d.tell(now, emit) // before what comes next, which may be the reset
			}
			next = now.Add(repeat)
		}
		if !news {
			d.tell(now, emit)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		if !now.Before(next) {
			d.tell(now, emit)
			next = now.Add(repeat)
		}
		time.Sleep(pace)
	}
}

// take takes a record in, and tells the installer of what is not understood or belongs to nobody; of the same once. It answers whether
// the panel is now in another state.
func (d *driver) take(now time.Time, r record) (news bool) {
	if len(d.panel.fires) >= mostFires && !d.has(r.point) {
		r.point = ""
	}
	news = d.panel.take(now, r)
	switch {
	case r.damaged != "":
		if news {
			d.Log.Warn("printed record cannot be read", "why", r.damaged, "text", r.String())
		}
		for _, dev := range d.devices {
			d.Monitor.Malformed(dev.ID, drivers.Decode, r.damaged)
		}
	case r.fire() && !news:
	case r.fire():
		d.Log.Info("panel printed a fire", "text", r.String())
		if r.point != "" && !d.has(r.point) {
			d.Monitor.Unclaimed(r.String(), "")
		}
	case r.point+r.status != d.printed:
		d.Log.Info("panel printed", "text", r.String())
	}
	d.printed = r.point + r.status
	return news
}

func (d *driver) has(point string) bool {
	for _, dev := range d.devices {
		for _, sig := range dev.Signals {
			if sig.Path == point {
				return true
			}
		}
	}
	return false
}

// tell emits what is known of every device.
func (d *driver) tell(now time.Time, emit func([]drivers.Reading)) {
	for _, dev := range d.devices {
		if dev.Disabled {
			continue
		}
		batch := make([]drivers.Reading, 0, len(dev.Signals))
		for _, sig := range dev.Signals {
			r := d.panel.reading(now, sig.Path)
			r.Signal = dev.Key(sig)
			batch = append(batch, r)
		}
		emit(batch)
	}
}
