package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
)

// Camera looks at a zone. What it saw when an alarm was raised there is kept with the alarm.
type Camera struct {
	Snapshot conf.Secret `yaml:"snapshot"` // address of a still, http(s)://user:password@host/…; also snapshot_file
	Live     string      `yaml:"live"`     // address that the page of an alarm leads to
}

func (c Camera) check(s conf.Section) {
	if c.Snapshot.IsSet() {
		if u, err := url.Parse(c.Snapshot.Reveal()); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			s.At("snapshot").Problem("the address of a still is http://host/… or https://host/…")
		}
	}
	if c.Live == "" {
		return
	}
	if u, err := url.Parse(c.Live); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		s.At("live").Problem("the address of the live picture is shown to everybody: http://host/… or https://host/…, without user and password")
	}
}

// Bounds of what is asked of cameras. Stills of a storm of alarms that come faster than cameras answer are left out.
const (
	stillTimeout = 5 * time.Second
	mostStill    = 1 << 20 // bytes
	mostShots    = 32      // that wait
	lookers      = 2       // cameras that are asked at the same time
)

// cameras fetch a still of the zone for each alarm that is raised, beside everything else: nothing waits for them.
type cameras struct {
	zones map[string]place // by id
	shots chan shot
	http  *http.Client
	log   *slog.Logger
}

// shot is a still that is wanted.
type shot struct {
	alarm, zone string
	address     conf.Secret
}

func newCameras(zones map[string]place, log *slog.Logger) *cameras {
	return &cameras{
		zones: zones, shots: make(chan shot, mostShots), log: log,
		http: &http.Client{
			Timeout:       stillTimeout,
			Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil, ResponseHeaderTimeout: stillTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a password goes to no other host
		},
	}
}

// raised asks for a still of the zone of each alarm that events raise. It does not wait. Drills and tests have one too: they
// show that the cameras work.
func (c *cameras) raised(events []alarm.Event) {
	for _, e := range events {
		if e.Type != alarm.EventRaised || e.Alarm == nil {
			continue
		}
		zone, ok := c.near(e.Alarm.Zone)
		if !ok {
			continue
		}
		select {
		case c.shots <- shot{e.Alarm.ID, zone.Path, zone.Camera.Snapshot}:
		default:
			c.log.Warn("no still: too many alarms at once", "alarm", e.Alarm.ID)
		}
	}
}

// near is the zone itself or the nearest around it that has a camera.
func (c *cameras) near(id string) (place, bool) {
	for steps := 0; id != "" && steps <= len(c.zones); steps++ {
		z := c.zones[id]
		if z.Camera.Snapshot.IsSet() {
			return z, true
		}
		id = z.In
	}
	return place{}, false
}

// run asks the cameras until ctx ends, and hands what they saw to keep.
func (c *cameras) run(ctx context.Context, keep func(ctx context.Context, id string, picture []byte, a alarm.Act) (alarm.Photo, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-c.shots:
			picture, err := c.fetch(ctx, s.address.Reveal())
			if err == nil {
				_, err = keep(ctx, s.alarm, picture, alarm.Act{By: s.zone, Via: console.ViaCamera})
			}
			if err != nil && ctx.Err() == nil {
				c.log.Warn("no still of an alarm", "alarm", s.alarm, "camera", s.zone, "err", err)
			}
		}
	}
}

// fetch is what a camera sees now. Most ask for the password by digest, some take it as it is. No error says the address,
// which holds the password.
func (c *cameras) fetch(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, stillTimeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of the still cannot be read")
	}
	user := u.User
	u.User = nil
	answer, err := c.get(ctx, u, "")
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusUnauthorized && user != nil {
		password, _ := user.Password()
		word, err := authorize(answer.Header.Values("WWW-Authenticate"), u.RequestURI(), user.Username(), password)
		answer.Body.Close()
		if err != nil {
			return nil, err
		}
		if answer, err = c.get(ctx, u, word); err != nil {
			return nil, err
		}
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the camera answered %s", answer.Status)
	}
	picture, err := io.ReadAll(io.LimitReader(answer.Body, mostStill+1))
	if err != nil {
		return nil, fmt.Errorf("the still did not arrive as a whole: %w", bare(err))
	}
	if len(picture) > mostStill {
		return nil, fmt.Errorf("the still is larger than %d bytes", mostStill)
	}
	return picture, nil
}

func (c *cameras) get(ctx context.Context, u *url.URL, authorization string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the address of the still cannot be read")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask the camera: %w", bare(err))
	}
	return answer, nil
}

// bare is an error of the HTTP client without the address that it was about.
func bare(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}
