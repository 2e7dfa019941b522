package console

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"embergate/gateway/access"
)

// The connections that people and programs may hold open, in all and from one address. Each is an open file, of which the
// process has 4096 (embergate.service): whoever opened them all would leave none to devices, channels and platforms. All the
// streams of a home fit through one proxy.
const (
	mostConnections = 1024
	mostFromOne     = 256
)

// connections counts those that are open. Its change is an http.Server.ConnState, which sees them before and after TLS.
type connections struct {
	log *slog.Logger

	mu   sync.Mutex
	all  int
	from map[string]int // by network
	said time.Time      // when it was last written that somebody was turned away
}

// change counts a connection, and closes one that is too many.
func (c *connections) change(conn net.Conn, state http.ConnState) {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		host = conn.RemoteAddr().String()
	}
	from := access.Network(host)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.all++
		c.from[from]++
		if c.all > mostConnections || c.from[from] > mostFromOne {
			_ = conn.Close() // its StateClosed follows
			c.tell(from, time.Now())
		}
	case http.StateClosed, http.StateHijacked:
		c.all--
		if c.from[from]--; c.from[from] == 0 {
			delete(c.from, from)
		}
	}
}

// tell writes that a connection was turned away, once a minute.
func (c *connections) tell(from string, now time.Time) {
	if now.Sub(c.said) < time.Minute && !now.Before(c.said) {
		return
	}
	c.said = now
	c.log.Warn("too many connections to the console, more are turned away", "from", from, "from_there", c.from[from], "in_all", c.all)
}
