package gateway

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
)

// picture is a JPEG of some size.
func picture(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		img.Set(x, x%height, color.RGBA{uint8(x), 80, 120, 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// camera answers as an IP camera does: by digest, by basic, without a password, or not as it should.
func cameraServer(t *testing.T, picture []byte) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/open", func(rw http.ResponseWriter, r *http.Request) { rw.Write(picture) })
	mux.HandleFunc("/basic", func(rw http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "admin" || password != "p:w@rd" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="cam"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		rw.Write(picture)
	})
	mux.HandleFunc("/digest", func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Digest ") {
			rw.Header().Add("WWW-Authenticate", `Basic realm="cam"`)
			rw.Header().Add("WWW-Authenticate", `Digest qop="auth", realm="IP Camera(12345)", nonce="4e6a:1", stale="FALSE"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		p := parameters(strings.TrimPrefix(r.Header.Get("Authorization"), "Digest "))
		want, _ := digest(map[string]string{"qop": "auth", "realm": "IP Camera(12345)", "nonce": "4e6a:1"}, r.URL.RequestURI(), "admin", "p:w@rd", p["cnonce"])
		if p["response"] != parameters(strings.TrimPrefix(want, "Digest "))["response"] || p["uri"] != "/digest?channel=1" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		rw.Write(picture)
	})
	mux.HandleFunc("/gone", func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	mux.HandleFunc("/elsewhere", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/open", http.StatusFound) })
	mux.HandleFunc("/endless", func(rw http.ResponseWriter, r *http.Request) { rw.Write(make([]byte, mostStill+1)) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestACameraIsAskedInItsOwnWayAndItsPasswordIsNeverSaid(t *testing.T) {
	want := picture(t, 64, 48)
	server := cameraServer(t, want)
	secret := strings.Replace(server.URL, "http://", "http://admin:p%3Aw%40rd@", 1)
	for _, test := range []struct{ name, address, err string }{
		{"without a password", server.URL + "/open", ""},
		{"with one", secret + "/basic", ""},
		{"by digest", secret + "/digest?channel=1", ""},
		{"with none where one is needed", server.URL + "/basic", "401"},
		{"with nothing there", secret + "/gone", "404"},
		{"with a way elsewhere, which the password does not take", secret + "/elsewhere", "302"},
		{"with more than a picture", secret + "/endless", "larger than"},
		{"with nobody there", "http://admin:p%3Aw%40rd@127.0.0.1:1/x", "refused"},
		{"with what is no address", "http://admin:p%3Aw%40rd@[::1/x", "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := newCameras(nil, slog.New(slog.DiscardHandler)).fetch(t.Context(), test.address)
			switch {
			case test.err == "" && (err != nil || !bytes.Equal(got, want)):
				t.Errorf("%d bytes, %v", len(got), err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want %s", err, test.err)
			case err != nil && strings.Contains(err.Error(), "w%40rd"), err != nil && strings.Contains(err.Error(), "w@rd"):
				t.Errorf("the error says the password: %v", err)
			}
		})
	}
}

func TestACameraThatIsSlowHoldsUpNothing(t *testing.T) {
	zone := Zone{ID: "kitchen", Camera: Camera{Snapshot: conf.NewSecret("http://127.0.0.1:1/")}}
	c := newCameras(map[string]place{"kitchen": {Zone: zone}, "store": {Zone: Zone{ID: "store", In: "kitchen"}}, "hall": {Zone: Zone{ID: "hall"}}}, slog.New(slog.DiscardHandler))
	raise := func(zone string) alarm.Event {
		return alarm.Event{Type: alarm.EventRaised, Alarm: &alarm.Alarm{ID: "1", Zone: zone}}
	}
	c.raised([]alarm.Event{raise("hall"), raise(""), {Type: alarm.EventCleared, Alarm: &alarm.Alarm{Zone: "kitchen"}}, {Type: "gateway.started"}})
	if len(c.shots) != 0 {
		t.Error("a zone without a camera has a still")
	}
	c.raised([]alarm.Event{raise("store")})
	if len(c.shots) != 1 {
		t.Error("the camera around the zone is not asked")
	}
	for range 3 * mostShots { // nobody takes them
		c.raised([]alarm.Event{raise("kitchen")})
	}
	if len(c.shots) != mostShots {
		t.Errorf("%d wait", len(c.shots))
	}
}

func TestWhatACameraSawIsKeptWithTheAlarm(t *testing.T) {
	server := cameraServer(t, picture(t, 64, 48))
	zone := Zone{ID: "kitchen", Camera: Camera{Snapshot: conf.NewSecret(server.URL + "/open")}}
	c := newCameras(map[string]place{"kitchen": {Zone: zone, Path: "1st floor / kitchen"}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	kept := make(chan alarm.Act, 1)
	go c.run(ctx, func(_ context.Context, id string, data []byte, a alarm.Act) (alarm.Photo, error) {
		if id == "42" && len(data) > 0 {
			kept <- a
		}
		return alarm.Photo{}, nil
	})
	c.raised([]alarm.Event{{Type: alarm.EventRaised, Alarm: &alarm.Alarm{ID: "42", Zone: "kitchen", Drill: true}}})
	select {
	case a := <-kept:
		if a.By != "1st floor / kitchen" || a.Via != console.ViaCamera {
			t.Errorf("%+v", a)
		}
	case <-ctx.Done():
		t.Fatal("nothing is kept")
	}
}

// The vector of RFC 7616, 3.9.1, with MD5.
func TestDigestAnswersAsTheStandardDoes(t *testing.T) {
	challenge := `realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	got, ok := digest(parameters(challenge), "/dir/index.html", "Mufasa", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
	if !ok || !strings.Contains(got, `response="8ca523f5e9506fed4657c9700eebdbec"`) || !strings.Contains(got, `opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`) {
		t.Error(got)
	}
	sha := strings.Replace(challenge, "MD5", "SHA-256", 1)
	if got, ok := digest(parameters(sha), "/dir/index.html", "Mufasa", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"); !ok || !strings.Contains(got, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1") {
		t.Error(got)
	}
	if _, ok := digest(map[string]string{"algorithm": "MD5-sess"}, "/", "a", "b", "c"); ok {
		t.Error("an algorithm that is not known")
	}
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{`realm="a\"b", nonce=x`, `a`, `=`, `a="`, `a="\`, `,,a = b ,c="d"e=f`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, challenge string) { digest(parameters(challenge), "/", "u", "p", "c") })
}

func TestAnAlarmHasTheStillOfItsZone(t *testing.T) {
	server := cameraServer(t, picture(t, 64, 48))
	dir, s := t.TempDir(), newScript()
	config := strings.Replace(fmt.Sprintf(scriptedHome, dir, "", "1m"), "name: Kitchen}", `name: Kitchen, camera: {snapshot: "`+server.URL+`/open", live: "http://cam.lan/"}}`, 1)
	h := startConfig(t, s, dir, config)
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged")
	var open []alarm.Alarm
	h.get("/api/v1/alarms", &open)
	at := "/api/v1/alarms/" + open[0].ID + "/still"
	eventually(t, "the still", func() bool { status, _ := h.asks("GET", at, "", nil); return status == http.StatusOK })
	if _, data := h.asks("GET", at, "", nil); !bytes.HasPrefix(data, []byte("\xff\xd8")) {
		t.Error("the still is no JPEG")
	}
	_, page := h.asks("GET", "/alarms/"+open[0].ID, "", nil)
	for _, want := range []string{`src="` + at + `"`, `href="http://cam.lan/"`, "From the camera of Kitchen"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page of the alarm lacks %s", want)
		}
	}
	if status, _ := h.asks("GET", "/api/v1/alarms/00000099-1/still", "", nil); status != http.StatusNotFound {
		t.Errorf("of an alarm that there is not: %d", status)
	}
}

func TestThePageShowsAnAlarmBeforeTheWebhookHasIt(t *testing.T) {
	shown := make(chan bool, 10)
	var home *home
	started := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-started
		_, page := home.asks("GET", "/", "", nil)
		shown <- strings.Contains(string(page), `data-sound="alarm"`)
	}))
	defer hook.Close()
	dir, s := t.TempDir(), newScript()
	config := fmt.Sprintf(scriptedHome, dir, "", "1m") + `
channels: [{id: hook, webhook: {url: "` + hook.URL + `", secret: s3cr3t}}]
`
	home = startConfig(t, s, dir, config)
	close(started)
	home.asks("GET", "/", "", nil) // somebody looks
	s.reads("gas.lel", 30)
	select {
	case is := <-shown:
		if !is {
			t.Error("the webhook came before the page had the alarm")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no webhook came")
	}
}
