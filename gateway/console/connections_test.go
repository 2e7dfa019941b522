package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"embergate/drivers/i18n"
)

// TestOneAddressCannotTakeAllConnections: what holds connections open, whoever it is, leaves some to others, and files to the
// rest of the gateway.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, l, consoleOf(t, newCanned(&Snapshot{}), i18n.English), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { stop(); <-ended })
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	first := dial()
	for range mostFromOne - 1 {
		dial()
	}
	one := dial()
	one.SetReadDeadline(time.Now().Add(4 * time.Second)) // before the server gives up on a connection that says nothing
	if _, err := one.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("one more than %d from one address: %v", mostFromOne, err)
	}
	ask := func(from string) error {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}, Timeout: 5 * time.Second}
		answer, err := client.Get("http://" + l.Addr().String() + "/healthz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s %s %w", answer.Status, body, err)
		}
		return nil
	}
	if err := ask("127.0.0.2"); err != nil {
		t.Error("another address:", err)
	}
	first.Close()
	for deadline := time.Now().Add(4 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := ask("127.0.0.1"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("where one was closed, there is room for another:", err)
		}
	}
}

// from is a connection from an address.
type from struct {
	net.Conn
	address string
	closed  bool
}

func (f *from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.address))
}

func (f *from) Close() error { f.closed = true; return nil }

// TestConnectionsAreBoundedInAll, from however many addresses they come; those of one IPv6 network count as from one.
func TestConnectionsAreBoundedInAll(t *testing.T) {
	c := &connections{log: slog.New(slog.DiscardHandler), from: map[string]int{}}
	var open []*from
	for i := range mostConnections + 10 {
		f := &from{address: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250)}
		c.change(f, http.StateNew)
		if f.closed != (i >= mostConnections) {
			t.Fatalf("connection %d: turned away %v", i, f.closed)
		}
		open = append(open, f)
	}
	for _, f := range open {
		c.change(f, http.StateActive)
		c.change(f, http.StateClosed)
	}
	if c.all != 0 || len(c.from) != 0 {
		t.Errorf("all are closed, and %d are counted, %v", c.all, c.from)
	}
	refused := 0
	for i := range mostFromOne + 5 {
		f := &from{address: fmt.Sprintf("[2001:db8::%x]:80", i)}
		if c.change(f, http.StateNew); f.closed {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of one network refused", refused)
	}
}
