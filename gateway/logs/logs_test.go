package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// page is what was logged.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// taken is what was logged since it was asked last.
func (p *page) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

func logger() (*slog.Logger, *Handler, *page) {
	out := &page{}
	h := New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return slog.New(h), h, out
}

func wantLog(t *testing.T, out *page, want ...string) {
	t.Helper()
	if got, want := out.taken(), strings.Join(want, "\n")+"\n"; got != want {
		t.Errorf("log:\n%swant:\n%s", got, want)
	}
}

// Row OP11: what repeats is written once, then counted.
func TestWhatRepeatsIsFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, out := logger()
		for i := range 241 {
			log.Warn("not published", "uplink", "city", "err", fmt.Errorf("dial 10.0.0.1:%d: refused", 40000+i), "after", time.Duration(i))
			time.Sleep(2 * time.Second)
		}
		wantLog(t, out, `level=WARN msg="not published" uplink=city err="dial 10.0.0.1:40000: refused" after=0s`)
		time.Sleep(window)
		synctest.Wait()
		wantLog(t, out, `level=WARN msg="not published" uplink=city err="dial 10.0.0.1:40240: refused" after=240ns repeated=240 within=10m0s`)
		log.Warn("not published", "uplink", "city", "err", errors.New("dial 10.0.0.1:1: refused"))
		wantLog(t, out, `level=WARN msg="not published" uplink=city err="dial 10.0.0.1:1: refused"`)
		log.Warn("not published", "uplink", "city", "err", errors.New("dial 10.0.0.1:2: refused"))
		h.Close()
		wantLog(t, out, `level=WARN msg="not published" uplink=city err="dial 10.0.0.1:2: refused" repeated=1 within=0s`)
	})
}

// Row OP11: nothing that differs in what it is about is folded into another, and no change of state is hidden.
func TestWhatDiffersIsNotFolded(t *testing.T) {
	log, _, out := logger()
	a, b := log.With("device", "a"), log.With("device", "b")
	for range 3 {
		a.Warn("device silent", "err", errors.New("timeout"))
		b.Warn("device silent", "err", errors.New("timeout"))
		log.Warn("device silent", "device", "c", "unit", 7)
		log.Warn("device silent", "device", "c", "unit", 8)
		a.Warn("device silent", "err", errors.New("refused"))
		a.Error("device silent", "err", errors.New("timeout"))
		log.Info("event", "seq", 1) // level info is never folded
	}
	want := []string{
		`level=WARN msg="device silent" device=a err=timeout`,
		`level=WARN msg="device silent" device=b err=timeout`,
		`level=WARN msg="device silent" device=c unit=7`,
		`level=WARN msg="device silent" device=c unit=8`,
		`level=WARN msg="device silent" device=a err=refused`,
		`level=ERROR msg="device silent" device=a err=timeout`,
	}
	wantLog(t, out, append(want, slices.Repeat([]string{`level=INFO msg=event seq=1`}, 3)...)...)

	c := log.With("endpoint", "c")
	for range 2 {
		c.Warn("link lost", "err", errors.New("reset"))
		c.Info("link restored", "after", time.Second)
	}
	wantLog(t, out, slices.Repeat([]string{`level=WARN msg="link lost" endpoint=c err=reset`, `level=INFO msg="link restored" endpoint=c after=1s`}, 2)...)
}

// Row OP11: what is counted is bounded; the oldest goes, and is said.
func TestWhatIsCountedIsBounded(t *testing.T) {
	log, h, out := logger()
	for range 2 {
		log.Warn("first")
	}
	for i := range mostFolds + 100 {
		log.Warn("many", "device", fmt.Sprint(i))
	}
	if len(h.folds) > mostFolds {
		t.Errorf("%d are counted", len(h.folds))
	}
	if !strings.Contains(out.taken(), `msg=first repeated=1`) {
		t.Error("what went was not said")
	}
}

// Row OP11: a module, and those below it, log from another level on for a time.
func TestAModuleHasALevelOfItsOwnForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, out := logger()
		log.Debug("nobody asked")
		h.Set("gateway", slog.LevelDebug, time.Now().Add(time.Hour))
		log.Debug("of gateway/logs")
		h.Set("gateway/logs", slog.LevelError, time.Now().Add(time.Minute))
		log.Warn("too little")
		h.Set("drivers/modbus", slog.LevelDebug, time.Now().Add(time.Minute))
		log.Debug("of another module")
		wantLog(t, out, `level=DEBUG msg="of gateway/logs"`)
		if got := fmt.Sprint(h.Levels()); strings.Count(got, "gateway") != 2 {
			t.Error(got)
		}
		time.Sleep(time.Minute)
		log.Debug("again")
		h.Set("gateway", slog.LevelDebug, time.Time{})
		log.Debug("over")
		wantLog(t, out, `level=DEBUG msg=again`)
		if got := h.Levels(); len(got) != 0 {
			t.Error(got)
		}
	})
}

// Row OP11: every package that logs is a module that can be named.
func TestEveryPackageThatLogsIsAModule(t *testing.T) {
	var found []string
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		module, _ := filepath.Rel(root, filepath.Dir(path))
		if bytes.Contains(text, []byte(`"log/slog"`)) && !slices.Contains(found, module) {
			found = append(found, module)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	none := []string{"cmd/embergate", "drivers/conf", "drivers/drivertest", "drivers/profiles/proof", "gateway/logs"} // main, and what has nothing to say
	for _, module := range found {
		if !slices.Contains(Modules, module) && !slices.Contains(none, module) {
			t.Errorf("%s logs and is not among the modules", module)
		}
	}
}
