package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestAClockThatAChannelWouldRefuseIsAFault (NO17): a message whose signature holds the time may be refused for it, so that
// the clocks differ is told as soon as the far side says so, and that they agree again.
func TestAClockThatAChannelWouldRefuseIsAFault(t *testing.T) {
	var off time.Duration
	far := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		fmt.Fprint(rw, `{"errcode":0,"errmsg":"ok"}`)
	}))
	defer far.Close()
	h := idle(t, newScript(), fmt.Sprintf("%schannels: [{id: group, dingtalk: {url: %q, token: t, secret: s}}]\n", strings.Replace(district(1), "channels: []", "", 1), far.URL))
	for _, c := range []struct {
		off  time.Duration
		want bool
	}{{0, false}, {2 * time.Hour, true}, {30 * time.Second, false}, {-time.Hour, true}} {
		off = c.off
		if _, err := h.g.channels.Test(t.Context(), "group", nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		h.supervision(time.Now())
		if h.faults[clockApart.ID+"@group"] != c.want {
			t.Errorf("off by %s: fault is %t", c.off, !c.want)
		}
	}
}
