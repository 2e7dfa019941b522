package mqtt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mosquitto is a real broker on a port that stays the same when it is started again.
type mosquitto struct {
	t       testing.TB
	dir     string
	address string
	cmd     *exec.Cmd
}

// program finds a program of Debian's mosquitto packages; without it the test is skipped, but not in CI.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs " + name + " (Debian packages mosquitto and mosquitto-clients)")
	}
	t.Skip("needs " + name + " (Debian packages mosquitto and mosquitto-clients)")
	return ""
}

// newMosquitto starts a broker with more lines of configuration; DIR in them is its folder.
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
	text := "user root\npersistence true\npersistence_location DIR/\nlog_dest file DIR/log\nlistener " + port + " 127.0.0.1\n" + strings.Join(lines, "\n") + "\n"
	m.write("conf", strings.ReplaceAll(text, "DIR", m.dir))
	t.Cleanup(m.stop)
	return m
}

func (m *mosquitto) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
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

// stop lets the broker write its sessions to disk.
func (m *mosquitto) stop() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	_ = m.cmd.Wait()
	m.cmd = nil
	if log, err := os.ReadFile(filepath.Join(m.dir, "log")); err == nil && m.t.Failed() {
		m.t.Logf("mosquitto:\n%s", log)
	}
}

// pub publishes with mosquitto_pub at QoS 1.
func (m *mosquitto) pub(arguments ...string) {
	m.t.Helper()
	host, port, _ := net.SplitHostPort(m.address)
	out, err := exec.Command(program(m.t, "mosquitto_pub"), append([]string{"-h", host, "-p", port, "-q", "1"}, arguments...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

const guarded = `
mqtt: {url: "mqtt://%s", client_id: gateway, username: gateway, password: "%s"}
devices: [{id: smoke-201, topic: "zigbee2mqtt/smoke-201", profile: zigbee}]
`

func TestMosquittoWithAPasswordFile(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous false", "password_file DIR/passwd")
	out, err := exec.Command(program(t, "mosquitto_passwd"), "-b", "-c", filepath.Join(m.dir, "passwd"), "gateway", "right").CombinedOutput()
	if err != nil {
		t.Fatalf("mosquitto_passwd: %v: %s", err, out)
	}
	m.start()
	r := start(t, open(t, fmt.Sprintf(guarded, m.address, "right"))).up(t)
	m.pub("-u", "gateway", "-P", "right", "-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	r.tells(t, "smoke-201.smoke=1")

	err = start(t, open(t, fmt.Sprintf(guarded, m.address, "wrong"))).ended(t)
	if err == nil || !strings.Contains(err.Error(), `the broker refused user "gateway" with this password`) || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
	err = start(t, openWard(t, m.address)).ended(t)
	if err == nil || !strings.Contains(err.Error(), "the broker wants a username and password") {
		t.Error(err)
	}
}

// Rows MQ08 and MQ10.
func TestMosquittoKeepsWhatIsPublishedWhileWeAreAway(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	d := openWard(t, m.address)
	r := start(t, d).up(t)
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":false}`)
	r.tells(t, "smoke-201.smoke=0")
	m.stop()
	if err := r.ended(t); err == nil || !strings.Contains(err.Error(), "the broker closed the connection") {
		t.Errorf("a broker that goes away: %v", err)
	}
	m.start()
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":false}`)
	m.stop()
	m.start()
	start(t, d).up(t).tells(t, "smoke-201.smoke=1 smoke-201.smoke=0")
}

func TestMosquittoRetainedMessageIsFlagged(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	m.pub("-r", "-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	r := start(t, openWard(t, m.address)).up(t)
	r.tells(t, "smoke-201.smoke=1(r)")
	m.pub("-r", "-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	r.tells(t, "smoke-201.smoke=1(r) smoke-201.smoke=1")
}

// Row MQ08.
func TestMosquittoDeliversAgainWhatTheGatewayDidNotHold(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	w := newWire(t, m.address)
	d := openWard(t, w.Addr().String())
	gate := make(chan struct{})
	r := startGated(t, d, gate).up(t)
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	r.tells(t, "smoke-201.smoke=1")
	w.cut()
	close(gate)
	if err := r.ended(t); err == nil {
		t.Error("a cut connection is no error")
	}
	if w.sent(4) != 0 {
		t.Error("acknowledged before the gateway held it")
	}
	r = start(t, d).up(t)
	r.tells(t, "smoke-201.smoke=1")
	eventually(t, "acknowledged", func() bool { return w.sent(4) == 1 })
	r.stop()
	_ = r.ended(t)
	r = start(t, d).up(t)
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":false}`)
	r.tells(t, "zigbee.link=1 smoke-201.smoke=0") // and the first not once more
}

// MQ13: of a shared subscription each message goes to one of those who share it, and to nobody twice.
func TestMosquittoSharesASubscription(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	const text = `
mqtt: {url: "mqtt://%s", client_id: gateway-%d}
devices: [{id: smoke, topic: "$share/gateways/zigbee2mqtt/+", availability: [], signals: [{id: n, kind: number, json: n}]}]
`
	one, two := start(t, open(t, fmt.Sprintf(text, m.address, 1))).up(t), start(t, open(t, fmt.Sprintf(text, m.address, 2))).up(t)
	for i := range 20 {
		m.pub("-t", "zigbee2mqtt/smoke", "-m", fmt.Sprintf(`{"n":%d}`, i))
	}
	eventually(t, "all 20 are told", func() bool {
		return strings.Count(one.all(), "smoke.n=")+strings.Count(two.all(), "smoke.n=") == 20
	})
	for i := range 20 {
		if n := strings.Count(one.all()+" "+two.all()+" ", fmt.Sprintf("smoke.n=%d ", i)); n != 1 {
			t.Errorf("%d is told %d times", i, n)
		}
	}
	if !strings.Contains(one.all(), "smoke.n=") || !strings.Contains(two.all(), "smoke.n=") {
		t.Error("one of the two heard everything")
	}
}

// Row MQ07.
func TestMosquittoStatusTopicAndWill(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	statusTopic(t, m.address)
}

// Row MQ09.
func TestMosquittoRefusesASubscription(t *testing.T) {
	plugins, _ := filepath.Glob("/usr/lib/*/mosquitto_dynamic_security.so")
	if len(plugins) == 0 {
		program(t, "mosquitto_dynamic_security.so")
	}
	m := newMosquitto(t, "allow_anonymous false", "plugin "+strings.Join(plugins, ""), "plugin_opt_config_file DIR/dynsec.json")
	salt := []byte("salt, pepper") // 12 bytes, as the plugin wants
	hash, err := pbkdf2.Key(sha512.New, "right", salt, 101, 64)
	if err != nil {
		t.Fatal(err)
	}
	m.write("dynsec.json", fmt.Sprintf(`{
		"defaultACLAccess": {"publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true},
		"clients": [{"username": "gateway", "password": %q, "salt": %q, "iterations": 101, "roles": [{"rolename": "some"}]}],
		"roles": [{"rolename": "some", "acls": [
			{"acltype": "subscribePattern", "topic": "zigbee2mqtt/bridge/state", "allow": true},
			{"acltype": "subscribePattern", "topic": "zigbee2mqtt/+/availability", "allow": true}]}]}`,
		base64.StdEncoding.EncodeToString(hash), base64.StdEncoding.EncodeToString(salt)))
	m.start()
	err = start(t, open(t, fmt.Sprintf(guarded, m.address, "right"))).ended(t)
	if err == nil || !strings.Contains(err.Error(), `subscribe: the broker refused zigbee2mqtt/smoke-201; see its access list for user "gateway"`) {
		t.Error(err)
	}
}

func TestMosquittoWithCertificates(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true", "cafile DIR/ca.pem", "certfile DIR/server.pem", "keyfile DIR/server.key", "require_certificate true")
	ca := newAuthority(t)
	m.write("ca.pem", ca.pem())
	m.issue(ca, "server")
	m.issue(ca, "client")
	m.issue(newAuthority(t), "stranger")
	m.start()
	const text = `
mqtt: {url: "mqtts://%s", tls: {ca: %[2]s/%[3]s.pem, cert: %[2]s/%[4]s.pem, key: %[2]s/%[4]s.key}}
devices: [{id: smoke-201, topic: "zigbee2mqtt/smoke-201", profile: zigbee}]
`
	trusted := open(t, fmt.Sprintf(text, m.address, m.dir, "ca", "client"))
	seen := &counts{}
	trusted.monitor = seen
	start(t, trusted).up(t)
	eventually(t, "all three certificates end within 30 days, and that is told", func() bool { // MQ14
		seen.mu.Lock()
		defer seen.mu.Unlock()
		left := time.Until(seen.expiring["the broker's certificate"])
		return len(seen.expiring) == 3 && left > 0 && left < renewWithin && !seen.expiring[m.dir+"/ca.pem"].IsZero() && !seen.expiring[m.dir+"/client.pem"].IsZero()
	})
	for name, c := range map[string]struct{ ca, cert, want string }{
		"a broker that we do not trust":         {"stranger", "client", "certificate"},
		"a broker that does not trust us":       {"ca", "stranger", ""}, // TLS 1.3: it hangs up after the handshake
		"an authority that is not there":        {"nobody", "client", "read tls ca"},
		"a certificate that is not there":       {"ca", "nobody", "read tls cert and key"},
		"an authority that is no authority":     {"../" + filepath.Base(m.dir) + "/empty", "client", "holds no certificate"},
		"a key in the place of the certificate": {"ca", "swapped", "read tls cert and key"},
	} {
		t.Run(name, func(t *testing.T) {
			m.write("empty.pem", "")
			m.write("swapped.pem", "")
			m.write("swapped.key", "")
			err := start(t, open(t, fmt.Sprintf(text, m.address, m.dir, c.ca, c.cert))).ended(t)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
		})
	}
	insecure := fmt.Sprintf(strings.ReplaceAll(text, "ca: %[2]s/%[3]s.pem", "insecure: true"), m.address, m.dir, "", "client")
	start(t, open(t, insecure)).up(t)
}

// MQ14: nothing is told of a certificate with more than 30 days to go, and one that was renewed is taken back.
func TestCertificatesAreToldThirtyDaysAhead(t *testing.T) {
	seen := &counts{}
	d := &driver{log: slog.New(slog.DiscardHandler), monitor: seen}
	end := noon.Add(100 * 24 * time.Hour)
	for _, c := range []struct {
		now  time.Time
		want time.Time
	}{{noon, time.Time{}}, {end.Add(-renewWithin - time.Second), time.Time{}}, {end.Add(-renewWithin), end}, {end.Add(time.Hour), end}, {noon, time.Time{}}} {
		d.tellEnds(ends{"ours": end}, c.now)
		if got := seen.expiring["ours"]; !got.Equal(c.want) {
			t.Errorf("at %s: %s, want %s", c.now, got, c.want)
		}
	}
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.key, a.cert = a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "authority"}})
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func (a *authority) pem() string { return block("CERTIFICATE", a.cert.Raw) }

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue writes NAME.pem and NAME.key.
func (m *mosquitto) issue(a *authority, name string) {
	m.t.Helper()
	key, cert := a.sign(m.t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(name+".pem", block("CERTIFICATE", cert.Raw))
	m.write(name+".key", block("PRIVATE KEY", der))
}
