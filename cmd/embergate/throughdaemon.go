package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/modbus"

	"github.com/spf13/cobra"
)

// Where a daemon has a wire, a verb that reads goes through its queue, so that there is one master on the line and one client of
// the converter (MB34). Where none answers, or it does not have the wire, the verb opens it itself.

// locateTime is how long a daemon is looked for.
const locateTime = 3 * time.Second

// wire is what scan and probe ask: a bus of their own, or one of the daemon.
type wire interface {
	Look(ctx context.Context, unit uint8) (there bool, said string, err error)
	Identity(ctx context.Context, unit uint8) string
	Read(ctx context.Context, unit uint8, t modbus.Table, addr uint16, n int) ([]byte, error)
	Close()
}

// held is the wire of an endpoint of a running daemon.
type held struct {
	client   *client
	endpoint string
	identity map[uint8]string // of units that were looked at
}

// barred says what to do where a daemon is there and does not let this verb ask; nil where that is not so. A second master on
// its wires is no way round.
func barred(c *client, err error) error {
	var no *refused
	if errors.As(err, &no) && no.ours && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden) {
		return errors.New(c.lang.Say("a daemon runs at %s and does not let this verb ask (%s): give it a token of role maintainer with --token-file, or run it as root or as the daemon's user", c.base, no.Detail))
	}
	return nil
}

// heldBy is the daemon's wire at a URL; nil where no daemon has it.
func heldBy(ctx context.Context, c *client, raw string) (*held, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	var status struct {
		Endpoints []struct {
			ID, Protocol, URL string
			Up                bool
		}
	}
	if err := c.get(ctx, "/api/v1/status", &status); err != nil {
		return nil, barred(c, err)
	}
	for _, e := range status.Endpoints {
		if e.Protocol == "modbus" && e.Up && sameWire(e.URL, raw) {
			return &held{c, e.ID, map[uint8]string{}}, nil
		}
	}
	return nil, nil
}

// sameWire tells whether two addresses are one: of Modbus TCP the port may be left out.
func sameWire(a, b string) bool {
	whole := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			return raw
		}
		if u.Scheme == "tcp" && u.Port() == "" {
			u.Host += ":502"
		}
		return u.Scheme + " " + strings.ToLower(u.Host) + " " + strings.TrimSuffix(u.Path, "/")
	}
	return whole(a) == whole(b)
}

// Look asks a unit what it is.
func (h *held) Look(ctx context.Context, unit uint8) (there bool, said string, err error) {
	var u struct {
		There              bool
		Answered, Identity string
	}
	if err := h.client.post(ctx, "/api/v1/endpoints/"+h.endpoint+"/look", map[string]any{"unit": unit}, &u); err != nil {
		return false, "", err
	}
	h.identity[unit] = u.Identity
	return u.There, u.Answered, nil
}

// Identity is what a unit said of itself when it was looked at.
func (h *held) Identity(_ context.Context, unit uint8) string { return h.identity[unit] }

// Read reads registers or bits.
func (h *held) Read(ctx context.Context, unit uint8, t modbus.Table, addr uint16, n int) ([]byte, error) {
	var answer struct{ Bytes string }
	body := map[string]any{"unit": unit, "at": fmt.Sprintf("%s:%d", t, addr), "count": n}
	if err := h.client.post(ctx, "/api/v1/endpoints/"+h.endpoint+"/registers", body, &answer); err != nil {
		return nil, err
	}
	return hex.DecodeString(answer.Bytes)
}

// Close leaves the wire to the daemon.
func (h *held) Close() {}

// throughDaemon is Options.Now by a daemon of the configuration; what the daemon refuses is said, in its words.
func throughDaemon(cmd *cobra.Command, c *client) func(ctx context.Context, device string) ([]drivers.Reading, bool) {
	return func(ctx context.Context, device string) ([]drivers.Reading, bool) {
		readings, has, err := nowOf(ctx, c, c.site, device)
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
		return readings, has
	}
}

// nowOf reads a device through the daemon; has is false where that does not have it. The error is that of a daemon that has the wire
// and got nothing from the device: to ask there too would be a second master.
func nowOf(ctx context.Context, c *client, site, device string) (readings []drivers.Reading, has bool, err error) {
	if c.config == "" {
		return nil, false, nil
	}
	var there struct{ ID string }
	short, cancel := context.WithTimeout(ctx, locateTime)
	defer cancel()
	if err := c.get(short, "/api/v1/site", &there); err != nil || there.ID != site {
		err = barred(c, err)
		return nil, err != nil, err
	}
	var answer struct {
		Readings []struct {
			Signal, Quality, Reason, Detail, Raw string
			Value                                *float64
			Time                                 time.Time
		}
	}
	err = c.post(ctx, "/api/v1/devices/"+url.PathEscape(device)+"/read", struct{}{}, &answer)
	var of *refused
	if errors.As(err, &of) && of.Status == http.StatusConflict {
		return nil, true, err
	}
	if err != nil {
		err = barred(c, err)
		return nil, err != nil, err
	}
	for _, a := range answer.Readings {
		r := drivers.Reading{Signal: a.Signal, Time: a.Time, Reason: drivers.Reason(a.Reason), Detail: a.Detail}
		if r.Raw, err = hex.DecodeString(a.Raw); err != nil {
			return nil, false, nil
		}
		if a.Value != nil {
			r.Value, r.Quality = *a.Value, drivers.Good
			if a.Quality == drivers.Uncertain.String() {
				r.Quality = drivers.Uncertain
			}
		}
		readings = append(readings, r)
	}
	return readings, true, nil
}

// unitAnswered tells whether a unit said anything, if only that it refuses; by the wire, or in the words of the daemon.
func unitAnswered(err error) bool {
	var of *refused
	if errors.As(err, &of) {
		return strings.Contains(of.Detail, "exception")
	}
	return modbus.Answered(err)
}
