// Package logs keeps a log readable while something fails for hours: it folds what repeats, and has a level for each module
// that can be changed while the daemon runs.
//
// Folded are warnings and errors. The first of its kind is written at once; the same of the same thing is then counted, and
// said in one line with its count ten minutes later:
//
//	level=WARN msg="telemetry not published" uplink=city err="timeout" repeated=240 within=10m0s
//
// The same is: level, message, every text among the attributes, so a device is never folded into another, and the error but
// for its digits. What is told of a thing at level info ends its folds: after "link restored" the next "link lost" is
// written at once.
package logs

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// window is how long what repeats is counted before it is said; mostFolds is how many different things are counted.
const (
	window    = 10 * time.Minute
	mostFolds = 500
)

// Modules are the packages that log; a level of gateway or drivers is one of all below it.
var Modules = []string{
	"drivers", "drivers/modbus", "drivers/mqtt", "drivers/sim", "gateway", "gateway/access", "gateway/console", "gateway/notify",
	"gateway/store", "gateway/uplink", "gateway/uplink/gbt26875", "gateway/uplink/influx", "gateway/uplink/mqtt", "main",
}

// Handler writes what is left by the handler that it was made of. It starts no goroutine.
type Handler struct {
	next  slog.Handler
	scope string // attributes of With and the groups, as a text
	*state
}

// state is what a handler shares with those made of it by With.
type state struct {
	mu     sync.Mutex // guards what is below
	folds  map[string]*fold
	levels map[string]setting // by module
	timer  *time.Timer        // to say what was counted; nil where nothing was
}

// fold is what is counted of one kind.
type fold struct {
	since time.Time // of the line that was written
	count int       // after it
	last  slog.Record
	by    slog.Handler
	scope string
}

// setting is a level with its end.
type setting struct {
	level slog.Level
	until time.Time
}

// New is a handler that writes by next, which lets through every level itself.
func New(next slog.Handler) *Handler {
	return &Handler{next, "", &state{folds: map[string]*fold{}, levels: map[string]setting{}}}
}

// Level is what a module logs for the time being.
type Level struct {
	Module string    `json:"module"`
	Level  string    `json:"level"`
	Until  time.Time `json:"until"`
}

// Set lets a module, and those below it, log from a level on until a time; then it is info again, as everything is. A time
// that has passed ends it at once.
func (h *Handler) Set(module string, level slog.Level, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.levels[module] = setting{level, until}
	h.forgetLocked(time.Now())
}

// Levels are the levels that were set and still hold, by module.
func (h *Handler) Levels() []Level {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forgetLocked(time.Now())
	all := []Level{}
	for _, module := range slices.Sorted(maps.Keys(h.levels)) {
		s := h.levels[module]
		all = append(all, Level{module, strings.ToLower(s.level.String()), s.until})
	}
	return all
}

func (s *state) forgetLocked(now time.Time) {
	maps.DeleteFunc(s.levels, func(_ string, set setting) bool { return !set.until.After(now) })
}

// Enabled tells whether a line of a level may be written; of which module it is shows only in Handle.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	if level >= slog.LevelInfo {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.levels {
		if level >= s.level {
			return true
		}
	}
	return false
}

// leastLocked is the level from which on a module logs: its own, or that of the nearest above it.
func (s *state) leastLocked(now time.Time, module string) slog.Level {
	for {
		if set, ok := s.levels[module]; ok && set.until.After(now) {
			return set.level
		}
		i := strings.LastIndexByte(module, '/')
		if i < 0 {
			return slog.LevelInfo
		}
		module = module[:i]
	}
}

// Handle writes a record, or counts it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	scope, kind := h.describe(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.levels) > 0 && r.Level < h.leastLocked(r.Time, moduleOf(r.PC)) {
		return nil
	}
	if r.Level < slog.LevelWarn {
		if scope != "" {
			h.endLocked(r.Time, func(f *fold) bool { return f.scope == scope })
		}
		return h.next.Handle(ctx, r)
	}
	if f := h.folds[kind]; f != nil && r.Time.Sub(f.since) < window {
		f.count++
		f.last, f.by = r.Clone(), h.next
		if h.timer == nil {
			h.timer = time.AfterFunc(f.since.Add(window).Sub(r.Time), h.due)
		}
		return nil
	}
	h.endLocked(r.Time, func(f *fold) bool { return r.Time.Sub(f.since) >= window })
	if len(h.folds) >= mostFolds {
		oldest := slices.MinFunc(slices.Collect(maps.Values(h.folds)), func(a, b *fold) int { return a.since.Compare(b.since) })
		h.endLocked(r.Time, func(f *fold) bool { return f == oldest })
	}
	h.folds[kind] = &fold{since: r.Time, by: h.next, scope: scope}
	return h.next.Handle(ctx, r)
}

// endLocked forgets folds, and says of each how often it came.
func (s *state) endLocked(now time.Time, which func(*fold) bool) {
	var over []*fold
	maps.DeleteFunc(s.folds, func(_ string, f *fold) bool {
		if !which(f) {
			return false
		}
		over = append(over, f)
		return true
	})
	slices.SortFunc(over, func(a, b *fold) int { return a.since.Compare(b.since) })
	for _, f := range over {
		if f.count == 0 {
			continue
		}
		f.last.AddAttrs(slog.Int("repeated", f.count), slog.Duration("within", now.Sub(f.since).Round(time.Second)))
		f.last.Time = now
		_ = f.by.Handle(context.Background(), f.last) // to where the line before it went
	}
}

// due says what has been counted long enough, and comes again for the rest.
func (s *state) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.endLocked(now, func(f *fold) bool { return now.Sub(f.since) >= window })
	s.timer = nil
	for _, f := range s.folds {
		if f.count > 0 {
			s.timer = time.AfterFunc(time.Minute, s.due)
			return
		}
	}
}

// Close says what is still counted: the log ends.
func (h *Handler) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.endLocked(time.Now(), func(*fold) bool { return true })
}

// describe is the thing that a record is about, by the texts among its attributes, and with level, message and error its kind.
func (h *Handler) describe(r slog.Record) (scope, kind string) {
	about, failure := strings.Builder{}, ""
	about.WriteString(h.scope)
	r.Attrs(func(a slog.Attr) bool {
		if text := identity(a); a.Key == "err" {
			failure = withoutDigits(a.Value.String())
		} else if text != "" {
			about.WriteString(text)
		}
		return true
	})
	scope = about.String()
	return scope, r.Level.String() + "\x00" + r.Message + "\x00" + scope + "\x00" + failure
}

// identity is an attribute as far as it says what a line is about: times, lengths of time and numbers with a fraction are
// measured, and do not.
func identity(a slog.Attr) string {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindDuration, slog.KindTime, slog.KindFloat64:
		return ""
	default:
		return "\x01" + a.Key + "=" + v.String()
	}
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// moduleOf is the package of the line that logs, below this program: drivers/modbus.
func moduleOf(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	dir, name := "", frame.Function // embergate/drivers/modbus.(*poller).poll
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, name = name[:i+1], name[i+1:]
	}
	name, _, _ = strings.Cut(name, ".")
	return cmp.Or(strings.TrimPrefix(dir+name, "embergate/"), "main")
}

// WithAttrs is the handler of a logger that says more.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	scope := h.scope
	for _, a := range attrs {
		scope += identity(a)
	}
	return &Handler{h.next.WithAttrs(attrs), scope, h.state}
}

// WithGroup is the handler of a logger whose attributes stand under a name.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.scope + "\x01" + name + ".", h.state}
}
