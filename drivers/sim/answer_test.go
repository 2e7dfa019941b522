package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"embergate/drivers/i18n"
)

// TestSomebodyAnswersWhatIsOnThePhone: the alarms of the class that still ask for somebody, at the configured console.
func TestSomebodyAnswersWhatIsOnThePhone(t *testing.T) {
	var got []string
	console := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+r.URL.Path+" "+string(body))
	}))
	defer console.Close()
	h, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.Config(i18n.English, t.TempDir(), strings.TrimPrefix(console.URL, "http://"))
	if err := h.Answer("gas", "Li"); err == nil {
		t.Error("a phone without messages is answered")
	}
	for i, event := range []string{"gas 1 raised", "fire 2 raised", "gas 3 raised", "gas 4 raised", "gas 4 acknowledged", "gas 3 escalated"} {
		var class, id, kind string
		fmt.Sscan(event, &class, &id, &kind)
		var m Message
		if err := json.Unmarshal(fmt.Appendf(nil, `{"event": "alarm.%s", "id": "%d", "alarm": {"id": %q, "class": %q}}`, kind, i, id, class), &m); err != nil {
			t.Fatal(err)
		}
		h.phone.messages = append(h.phone.messages, m)
	}
	if err := h.Answer("gas", "Li"); err != nil {
		t.Fatal(err)
	}
	want := []string{`POST /api/v1/alarms/1/ack {"by":"Li"}`, `POST /api/v1/alarms/3/ack {"by":"Li"}`}
	if !slices.Equal(got, want) {
		t.Errorf("the console was asked %q, want %q", got, want)
	}
}
