package mqtt

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// program finds a program of Debian's mosquitto package; without it the test is skipped, but not in CI.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + name + " (Debian package mosquitto)")
	}
	t.Skip("needs " + name + " (Debian package mosquitto)")
	return ""
}

// mosquitto is a real broker on a port that stays the same when it is started again.
type mosquitto struct {
	t       testing.TB
	dir     string
	address string
	cmd     *exec.Cmd
}

func newMosquitto(t testing.TB, lines ...string) *mosquitto {
	t.Helper()
	m := &mosquitto{t: t, dir: t.TempDir()}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(m.address)
	text := "user root\npersistence true\npersistence_location DIR/\nautosave_interval 1\nautosave_on_changes true\nlistener " + port + " 127.0.0.1\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(m.dir, "conf"), []byte(strings.ReplaceAll(text, "DIR", m.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.end(syscall.SIGTERM) })
	return m
}

func (m *mosquitto) start() *mosquitto {
	m.t.Helper()
	m.cmd = exec.Command(program(m.t, "mosquitto"), "-c", filepath.Join(m.dir, "conf"))
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	eventually(m.t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", m.address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return m
}

func (m *mosquitto) end(how syscall.Signal) {
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(how)
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// listener is the platform's end: a subscriber of everything below home.
type listener struct {
	client paho.Client
	mu     sync.Mutex
	bodies map[string][]string // by topic
	qos    map[string]byte
}

func (m *mosquitto) listen() *listener {
	m.t.Helper()
	l := &listener{bodies: map[string][]string{}, qos: map[string]byte{}}
	o := paho.NewClientOptions().AddBroker("tcp://" + m.address).SetClientID("listener").SetAutoReconnect(false).SetOrderMatters(true)
	l.client = paho.NewClient(o)
	if token := l.client.Connect(); !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		m.t.Fatal(token.Error())
	}
	token := l.client.Subscribe("home/#", 1, func(_ paho.Client, p paho.Message) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bodies[p.Topic()] = append(l.bodies[p.Topic()], string(p.Payload()))
		l.qos[p.Topic()] = p.Qos()
	})
	if !token.WaitTimeout(10*time.Second) || token.Error() != nil {
		m.t.Fatal(token.Error())
	}
	m.t.Cleanup(func() { l.client.Disconnect(100) })
	return l
}

func (l *listener) of(topic string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bodies["home/"+topic])
}

func (l *listener) last(topic string) string {
	if all := l.of(topic); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// Rows MQ21, SF11 and SF17: a real broker that is stopped, and killed, while events come to a real journal: each arrives, in order, at
// QoS 1; states and status are retained for who comes later.
func TestMosquittoGetsEveryEventThroughRestartAndKill(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	l := m.listen()
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	u := newUplink(t, fmt.Sprintf(`{url: "mqtt://%s", topic: home}`, m.address), nil, nil)
	count := 0
	add := func(n int) {
		for range n {
			count++
			a := alarm.Alarm{ID: "a1", Rule: "gas-high"}
			e := alarm.Event{ID: fmt.Sprint(count), Time: time.Now(), Type: "alarm.raised", Alarm: &a}
			if err := st.Commit(t.Context(), &store.Transaction{Events: []alarm.Event{e}}); err != nil {
				t.Fatal(err)
			}
			u.Wake()
		}
	}
	u.Readings(kitchen, number(12.5))
	add(50)
	stop := start(t, u, st, nil)
	defer stop()
	eventually(t, "the first events arrive", func() bool { return len(l.of("event")) == 50 })
	eventually(t, "the state arrives", func() bool { return l.last("state/kitchen-gas") != "" && l.last("status") == "online" })
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		eventually(t, "the place is kept", func() bool { sent, _ := u.Waiting(); return sent == int64(count) })
		m.end(how)
		add(100)
		eventually(t, "the uplink is lost", func() bool { return !u.Status().Working })
		m.start()
		l = m.listen()
		eventually(t, "the events of the outage arrive", func() bool {
			return len(l.of("event")) >= 1 && strings.HasPrefix(l.last("event"), fmt.Sprint(count)+" ")
		})
	}
	var ids []string
	for _, e := range l.of("event") {
		id, _, _ := strings.Cut(e, " ")
		ids = append(ids, id)
	}
	l.mu.Lock()
	qos := l.qos["home/event"]
	l.mu.Unlock()
	if len(ids) == 0 || ids[len(ids)-1] != fmt.Sprint(count) || qos != 1 {
		t.Errorf("after the kill: %v at QoS %d", ids, qos)
	}
	for i := 1; i < len(ids); i++ {
		if len(ids[i-1]) > len(ids[i]) || len(ids[i-1]) == len(ids[i]) && ids[i-1] >= ids[i] {
			t.Errorf("event %s after %s", ids[i], ids[i-1])
		}
	}
	late := m.listen()
	eventually(t, "who comes later is told", func() bool {
		return late.last("status") == "online" && strings.Contains(late.last("state/kitchen-gas"), `"value":12.5`)
	})
}

// A broker that refuses us is told apart from one that is away, and the password is in no word of it.
func TestMosquittoRefusesAPassword(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous false", "password_file DIR/passwd")
	if out, err := exec.Command(program(t, "mosquitto_passwd"), "-b", "-c", filepath.Join(m.dir, "passwd"), "zb", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	m.start()
	for password, words := range map[string]string{
		"username: zb, password: s3cret, ": `the broker refused user "zb" with this password`,
		"":                                 "the broker wants a username and password",
		"username: zb, password: right, ":  "",
	} {
		var log bytes.Buffer
		u := newUplink(t, fmt.Sprintf(`{url: "mqtt://%s", %stopic: home}`, m.address, password), nil, &log)
		stop := start(t, u, &journal{}, nil)
		eventually(t, words, func() bool {
			s := u.Status()
			return words == "" && s.Working || words != "" && strings.Contains(s.LastError, words)
		})
		stop()
		if strings.Contains(log.String()+u.Status().LastError, "s3cret") {
			t.Errorf("the password is said: %s", log.String())
		}
	}
}
