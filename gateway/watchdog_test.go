package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// Row RE08: the watchdog is told by the hub alone, so a hub that stands still is killed and started anew.
func TestAHubThatStandsStillIsNotSaidToBeAlive(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	t.Setenv("WATCHDOG_USEC", "100000")
	pinged := func(within time.Duration) bool {
		socket.SetReadDeadline(time.Now().Add(within))
		for b := make([]byte, 100); ; {
			n, err := socket.Read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b[:n]), "WATCHDOG=1") {
				return true
			}
		}
	}
	root := conf.Parse("home.yaml", []byte("site: {id: home, language: en}\ndata: "+dir+"\nrules: {packs: []}\n"), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": newScript().protocol}, Log: slog.New(slog.DiscardHandler)})
	if err != nil || root.Problems() != nil {
		t.Fatal(err, root.Problems())
	}
	st, err := store.Open(dir, g.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	h, err := newHub(context.Background(), g, st)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); h.run() }()
	for range 2 {
		if !pinged(20 * time.Second) {
			t.Fatal("a hub that turns is not said to be alive")
		}
	}
	stands, goOn := make(chan struct{}), make(chan struct{})
	h.acts <- func(time.Time) { close(stands); <-goOn }
	<-stands
	for pinged(time.Millisecond) { // what was said before it stood still
	}
	if pinged(2 * turn) {
		t.Error("a hub that stands still is said to be alive")
	}
	close(goOn)
	if !pinged(20 * time.Second) {
		t.Error("a hub that turns again is not said to be alive")
	}
	h.stop()
	<-done
}

// Rows RE06 and RE08: that the last run was killed stands in the journal; an orderly end does not.
func TestADeathStandsInTheJournal(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	alone := alarm.Event{ID: "1", Time: time.Now(), Type: "gateway.started"}
	if err := st.Commit(t.Context(), &store.Transaction{Events: []alarm.Event{alone}}); err != nil {
		t.Fatal(err)
	}
	st.Close()
	var h *home
	for range 2 {
		h = startHome(t, newScript(), dir, "0s")
		h.alarms("")
		h.stop()
	}
	got := slices.DeleteFunc(h.journal(), func(line string) bool { return !strings.HasPrefix(line, "gateway.") })
	if want := "gateway.started gateway.died gateway.started gateway.stopped gateway.started gateway.stopped"; strings.Join(got, " ") != want {
		t.Errorf("journal: %q", got)
	}
}
