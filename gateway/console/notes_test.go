package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

func (c *canned) Note(_ context.Context, id string, a alarm.Act) error { return c.did("note", id, a) }

func (c *canned) AddPhoto(_ context.Context, id string, picture []byte, a alarm.Act) (alarm.Photo, error) {
	p := alarm.Photo{N: 1, Type: "image/png", Bytes: len(picture), SHA256: strings.Repeat("ab", 32)}
	return p, c.did(fmt.Sprintf("photo of %d bytes", len(picture)), id, a)
}

func (c *canned) Photo(_ context.Context, id string, n int) (alarm.Photo, []byte, error) {
	if n != 1 {
		return alarm.Photo{}, nil, fs.ErrNotExist
	}
	return alarm.Photo{N: 1, Type: "image/png"}, []byte("\x89PNG"), c.failing
}

func (c *canned) Attempts(context.Context, string) ([]Attempt, error) {
	return []Attempt{{Time: noon, Channel: "duty-group", To: "zhang,li", Type: alarm.EventRaised, Outcome: "accepted", Detail: "no. 7"}}, c.failing
}

// send posts a picture as a telephone does.
func sendPhoto(t *testing.T, h http.Handler, target, kind string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", target, bytes.NewReader(body))
	r.Host = "127.0.0.1:8080"
	r.Header.Set("Content-Type", kind)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// TestPicturesComeAsTheyAre (AL16): the bytes are the body, who and what stand in the query; what is too large or of
// another kind is refused, and no other body may be as large.
func TestPicturesComeAsTheyAre(t *testing.T) {
	const at = "/api/v1/alarms/00000007/photo"
	for _, test := range []struct {
		name, query, kind string
		bytes             int
		refuse            error
		status            int
		wants             string
	}{
		{"a picture with a word", "?by=%E5%BC%A0%E4%B8%89&note=stove", "image/jpeg", 1 << 20, nil, 200, "photo of 1048576 bytes 00000007 by 张三 via api: stove"},
		{"one of two megabytes", "?by=zhang", "image/png", maxPhoto, nil, 200, "photo of 2097152 bytes 00000007 by zhang via api: "},
		{"a byte too many", "?by=zhang", "image/png", maxPhoto + 1, nil, 413, "2097152"},
		{"nobody's", "?note=x", "image/png", 1, nil, 400, "缺少 by"},
		{"a name too long", "?by=" + strings.Repeat("x", 41), "image/png", 1, nil, 400, "40"},
		{"a note too long", "?by=zhang&note=" + strings.Repeat("x", 501), "image/png", 1, nil, 400, "500"},
		{"a film", "?by=zhang", "video/mp4", 1, nil, 415, "image/jpeg"},
		{"one that the gateway refuses", "?by=zhang", "image/png", 1, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("a picture is a JPEG or a PNG")}, 400, "照片应为 JPEG 或 PNG"},
		{"one of an alarm that there is not", "?by=zhang", "image/png", 1, fs.ErrNotExist, 404, "没有报警"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := freshEvening(i18n.Chinese)
			c.refuse = test.refuse
			rec := sendPhoto(t, consoleOf(t, c, i18n.Chinese), at+test.query, test.kind, bytes.Repeat([]byte{1}, test.bytes))
			if rec.Code != test.status {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			described(t).answers(t, "/api/v1/alarms/{id}/photo", "POST", rec)
			if said := strings.Join(c.done, "|") + rec.Body.String(); !strings.Contains(said, test.wants) {
				t.Errorf("%s, want %s", said, test.wants)
			}
		})
	}
}

// TestFewPicturesAreReceivedAtOnce: each is in memory as a whole, and who sends many slowly must not fill it.
func TestFewPicturesAreReceivedAtOnce(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.English), i18n.English)
	send := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/api/v1/alarms/00000007/photo?by=zhang", body)
		r.Header.Set("Content-Type", "image/png")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	var slow []*io.PipeWriter
	var under sync.WaitGroup
	for range photosAtOnce {
		body, end := io.Pipe()
		slow = append(slow, end)
		under.Go(func() { send(body) })
		if _, err := end.Write([]byte{1}); err != nil { // it is being read
			t.Fatal(err)
		}
	}
	rec := send(strings.NewReader("x"))
	if rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
		t.Error("one more:", rec.Code, rec.Body)
	}
	described(t).answers(t, "/api/v1/alarms/{id}/photo", "POST", rec)
	for _, end := range slow {
		end.Close()
	}
	under.Wait()
	if rec := send(strings.NewReader("x")); rec.Code != 200 {
		t.Error("when they have arrived:", rec.Code, rec.Body)
	}
}

// TestAPictureIsShownAsAPictureAndNothingElse (AL16): a browser may keep it, and takes it for nothing but a picture.
func TestAPictureIsShownAsAPictureAndNothingElse(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.Chinese), i18n.Chinese)
	rec := ask(t, h, "GET", "/api/v1/alarms/00000007/photo/1", "")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "image/png" || rec.Header().Get("X-Content-Type-Options") != "nosniff" || rec.Body.String() != "\x89PNG" {
		t.Errorf("%d %v %q", rec.Code, rec.Header(), rec.Body)
	}
	for _, n := range []string{"2", "x", "-1", "99999999999999999999"} {
		if rec := ask(t, h, "GET", "/api/v1/alarms/00000007/photo/"+n, ""); rec.Code != 404 {
			t.Errorf("picture %s: %d", n, rec.Code)
		}
	}
}

// story is an alarm's, with everything that a report tells.
func story() (alarm.Alarm, []alarm.Event) {
	a := home{i18n.Chinese, noon}.alarms()[1]
	a.State, a.RaisedAt, a.ClosedAt, a.Verdict, a.Count = alarm.Closed, noon, pointer(noon.Add(30*time.Minute)), "false:<b>蒸汽</b>", 2
	at := func(seq int64, after time.Duration, kind, by, note string) alarm.Event {
		return alarm.Event{Seq: seq, ID: "e", Time: noon.Add(after).UTC(), Type: kind, Alarm: &a, By: by, Note: note}
	}
	events := []alarm.Event{
		at(7, 0, alarm.EventRaised, "", ""), at(8, 70*time.Second, alarm.EventAcknowledged, "张三", "马上到"), at(9, 5*time.Minute, alarm.EventNoted, "张三", "炉灶未关"),
		at(10, 30*time.Minute, alarm.EventVerdict, "李四", ""),
	}
	lost := at(11, 30*time.Minute, alarm.EventNoted, "李四", "")
	lost.Photo = &alarm.Photo{N: 2, Type: "image/png", SHA256: strings.Repeat("cd", 32)}
	events[2].Photo = &alarm.Photo{N: 1, Type: "image/png", SHA256: strings.Repeat("ab", 32)}
	events = append(events, lost)
	return a, events
}

// TestTheReportTellsAnAlarmOnPaper (AL15): who, when, what, with the times of the site and the numbers of the journal, in
// both languages; what people wrote is text.
func TestTheReportTellsAnAlarmOnPaper(t *testing.T) {
	c := newCanned(home{i18n.Chinese, noon}.well())
	a, events := story()
	c.now.Alarms, c.told = []alarm.Alarm{a}, events
	h := consoleOf(t, c, i18n.Chinese)
	for _, test := range []struct{ target, wants string }{
		{"?", `<td>7</td><td>2026-11-21 16:53:20</td><td>0s</td>`},
		{"?", "<dd>1m10s</dd>"},
		{"?", "误报：&lt;b&gt;蒸汽&lt;/b&gt;"},
		{"?", `<link rel="stylesheet" href="/assets/report.`},
		{"?", `src="/api/v1/alarms/00000007/photo/1"`},
		{"?", "临淄区颐康养老院"},
		{"?", "<td>duty-group</td><td>zhang,li</td>"},
		{"?embed=1", `src="data:image/png;base64,iVBORw=="`},
		{"?embed=1", "@page { size: A4"},
		{"?lang=en", "false: &lt;b&gt;"},
		{"?lang=en", "[picture 1]"},
		{"?lang=en", `alt="Picture 1"`},
		{"?lang=en", "The picture is not there any more."},
	} {
		rec := ask(t, h, "GET", "/api/v1/alarms/00000007/report"+test.target, "")
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), test.wants) {
			t.Errorf("%s: %d, no %s in\n%s", test.target, rec.Code, test.wants, rec.Body)
		}
	}
	if rec := ask(t, h, "GET", "/api/v1/alarms/nobody/report", ""); rec.Code != 404 {
		t.Error(rec.Code)
	}
}
