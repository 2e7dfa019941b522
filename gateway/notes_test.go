package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"embergate/gateway/alarm"
)

// asks sends a request and answers its status and what came back.
func (h *home) asks(method, path, kind string, body []byte) (int, []byte) {
	h.t.Helper()
	q, err := http.NewRequest(method, h.url+path, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	q.Header.Set("Content-Type", kind)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return r.StatusCode, data
}

// does acts on an alarm, which must be allowed.
func (h *home) does(path, body string) {
	h.t.Helper()
	if status, answer := h.asks("POST", path, "application/json", []byte(body)); status != 200 {
		h.t.Fatalf("%s: %d %s", path, status, answer)
	}
}

// TestNotesAndPicturesStayWithAnAlarm (AL16): with an open and with a closed one, over a restart, without the place where
// a picture was taken; the journal seals each, and one that was changed is shown no more.
func TestNotesAndPicturesStayWithAnAlarm(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, hall(dir))
	s.reads("d3.smoke", 1)
	h.alarms("smoke unacknowledged")
	var open []alarm.Alarm
	h.get("/api/v1/alarms", &open)
	at := "/api/v1/alarms/" + open[0].ID
	h.does(at+"/note", `{"by":"zhang","note":"a pan on the stove"}`)
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 64)), nil); err != nil {
		t.Fatal(err)
	}
	sent := slices.Concat(picture.Bytes()[:2], []byte("\xff\xfe\x00\x0bGPS 36.8N"), picture.Bytes()[2:])
	if status, answer := h.asks("POST", at+"/photo?by=zhang&note=the+stove", "image/jpeg", sent); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer := h.asks("POST", at+"/photo?by=zhang", "image/png", []byte("<html>")); status != 400 || !strings.Contains(string(answer), "a JPEG or a PNG") {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := h.asks("POST", "/api/v1/alarms/00000099-1/photo?by=zhang", "image/jpeg", sent); status != 404 {
		t.Errorf("of an alarm that there is not: %d", status)
	}
	s.reads("d3.smoke", 0)
	h.alarms("smoke returned")
	h.does(at+"/ack", `{"by":"zhang"}`)
	h.does(at+"/reset", `{"by":"zhang"}`)
	h.does(at+"/verdict", `{"by":"zhang","verdict":"false:cooking"}`)
	h.does(at+"/note", `{"by":"li","note":"hood cleaned"}`) // closed, and off the board

	h.stop()
	h = startConfig(t, newScript(), dir, hall(dir))
	var kept struct {
		alarm.Alarm
		Events []alarm.Event `json:"events"`
	}
	h.get(at, &kept)
	var said []string
	for _, e := range kept.Events {
		if e.Type == alarm.EventNoted {
			said = append(said, e.By+": "+e.Note)
		}
	}
	if got := strings.Join(said, ", "); got != "zhang: a pan on the stove, zhang: the stove, li: hood cleaned" || kept.Notes != 3 || kept.Photos != 1 || kept.State != alarm.Closed {
		t.Errorf("%s; %d notes, %d pictures, %s", got, kept.Notes, kept.Photos, kept.State)
	}
	_, got := h.asks("GET", at+"/photo/1", "", nil)
	if bytes.Contains(got, []byte("GPS")) || !bytes.HasPrefix(got, []byte{0xFF, 0xD8}) || len(got) >= len(sent) {
		t.Errorf("the picture has %d bytes of %d", len(got), len(sent))
	}
	files, err := filepath.Glob(filepath.Join(dir, "photos", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], append(got, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.asks("GET", at+"/photo/1", "", nil); status != 404 {
		t.Errorf("a picture that was changed: %d", status)
	}
	_, page := h.asks("GET", at+"/report", "", nil)
	if report := string(page); !strings.Contains(report, "hood cleaned") || !strings.Contains(report, "is not there any more") || !strings.Contains(report, "fumes of cooking") {
		t.Error(report)
	}
}

// TestAPictureThatIsNotTakenLeavesNothing (AL16): where the alarm has as many as it may, what came is dropped again, and
// the same picture is kept once.
func TestAPictureThatIsNotTakenLeavesNothing(t *testing.T) {
	a := alarm.Alarm{ID: "00000001-1"}
	for i := range 20 {
		if _, err := alarm.Noted(a.RaisedAt, &a, alarm.Act{By: "zhang"}, &alarm.Photo{}); err != nil || a.Photos != i+1 {
			t.Fatal(err, a.Photos)
		}
	}
	if _, err := alarm.Noted(a.RaisedAt, &a, alarm.Act{By: "zhang"}, &alarm.Photo{}); !errors.Is(err, alarm.ErrState) {
		t.Error(err)
	}
	e, err := alarm.Noted(a.RaisedAt, &a, alarm.Act{By: "zhang", Note: "words are taken"}, nil)
	if err != nil || a.Notes != 21 {
		t.Error(err, a.Notes)
	}
	if data, err := json.Marshal(e); err != nil || strings.Contains(string(data), "photo\"") {
		t.Error(string(data), err)
	}
}
