package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"embergate/drivers/i18n"
)

// The files of a certificate that the gateway makes for itself, in the data directory.
const (
	ownCertificate = "console.crt"
	ownKey         = "console.key"
)

const (
	endsSoon    = 30 * 24 * time.Hour  // before its end a certificate is a fault
	ownLasts    = 800 * 24 * time.Hour // browsers take none that lasts longer than 825 days
	lookAtFiles = 30 * time.Second     // how often files that changed are noticed
)

// certificate is the console's, from files that may change while it runs, or made by the gateway for itself.
type certificate struct {
	cert, key string
	own       bool     // made here, and anew before it ends
	names     []string // of an own one, besides the machine's
	log       *slog.Logger

	using atomic.Pointer[served]

	mu     sync.Mutex // held while the files are read
	looked time.Time
}

// served is a certificate in use.
type served struct {
	*tls.Certificate
	changed time.Time // the younger of its files' times
	err     error     // why the files of now are not in use
}

// newCertificate is the console's certificate; nil where it has none. It reads nothing yet.
func newCertificate(c Console, data string, log *slog.Logger) *certificate {
	switch {
	case c.TLS.SelfSigned:
		names := []string{c.host()}
		if public := c.publicHost(); public != "" {
			names = append(names, public)
		}
		return &certificate{cert: filepath.Join(data, ownCertificate), key: filepath.Join(data, ownKey), own: true, names: names, log: log}
	case c.TLS.on():
		return &certificate{cert: string(c.TLS.Cert), key: string(c.TLS.Key), log: log}
	}
	return nil
}

// ready reads the certificate before the first who asks for it.
func (c *certificate) ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookLocked(time.Now())
	return c.use().err
}

// use is what is in use; without a certificate where none was read yet.
func (c *certificate) use() served {
	if s := c.using.Load(); s != nil {
		return *s
	}
	return served{}
}

// get is the certificate for one connection. Now and then one of them looks whether the files have changed.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		if now := time.Now(); now.Sub(c.looked) > lookAtFiles || now.Before(c.looked) {
			c.lookLocked(now)
		}
		c.mu.Unlock()
	}
	s := c.use()
	if s.Certificate == nil {
		return nil, s.err
	}
	return s.Certificate, nil
}

// lookLocked reads the files where they are others than before, and makes an own certificate where there is none or it
// ends soon. What cannot be read leaves the one in use as it is.
func (c *certificate) lookLocked(now time.Time) {
	c.looked = now
	before := c.use()
	changed, err := youngest(c.cert, c.key)
	fresh := before.Certificate != nil && before.err == nil && err == nil && changed.Equal(before.changed)
	if fresh && !c.outworn(before.Certificate, now) {
		return
	}
	loaded, err := tls.LoadX509KeyPair(c.cert, c.key)
	if c.own && (errors.Is(err, fs.ErrNotExist) || err == nil && c.outworn(&loaded, now)) {
		if err = c.make(now); err == nil {
			loaded, err = tls.LoadX509KeyPair(c.cert, c.key)
		}
		changed, _ = youngest(c.cert, c.key)
	}
	if err != nil {
		if before.err == nil {
			c.log.Error("certificate of the console not readable", "file", c.cert, "err", err)
		}
		before.err = fmt.Errorf("certificate %s: %w", c.cert, err)
		c.using.Store(&before)
		return
	}
	c.using.Store(&served{&loaded, changed, nil})
	if before.Certificate == nil || fingerprint(before.Leaf) != fingerprint(loaded.Leaf) {
		c.log.Info("certificate of the console", "file", c.cert, "until", loaded.Leaf.NotAfter.Format(time.DateOnly), "self_signed", c.own, "sha256", fingerprint(loaded.Leaf))
	}
}

// outworn tells whether an own certificate is to be made anew: a day before it would be a fault.
func (c *certificate) outworn(loaded *tls.Certificate, now time.Time) bool {
	return c.own && loaded.Leaf.NotAfter.Sub(now) < endsSoon+24*time.Hour
}

// trouble says that the certificate ends soon or has ended, or that its files cannot be read; false where all is well.
func (c *certificate) trouble(now time.Time, location *time.Location) (i18n.Text, bool) {
	s := c.use()
	switch {
	case s.err != nil:
		return i18n.T("the console's certificate cannot be read: %s", firstLine(s.err.Error())), true
	case s.Certificate != nil && s.Leaf.NotAfter.Sub(now) < endsSoon:
		return i18n.T("the console's certificate ends on %s; renew it", s.Leaf.NotAfter.In(location).Format(time.DateOnly)), true
	}
	return i18n.Text{}, false
}

// CertificateTrouble says what is wrong with the console's certificate as it lies on the disk; false where nothing is, or
// where the gateway makes it itself.
func (g *Gateway) CertificateTrouble(now time.Time) (i18n.Text, bool) {
	c := newCertificate(g.cfg.Console, "", slog.New(slog.DiscardHandler))
	if c == nil || c.own {
		return i18n.Text{}, false
	}
	_ = c.ready() // which trouble says
	return c.trouble(now, g.location)
}

// until is when the certificate ends, in seconds since 1970; 0 where none was read yet.
func (c *certificate) until() float64 {
	if s := c.use(); s.Certificate != nil {
		return float64(s.Leaf.NotAfter.Unix())
	}
	return 0
}

// youngest is the later of the times at which two files changed.
func youngest(files ...string) (at time.Time, err error) {
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return at, err
		}
		if info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at, nil
}

// make writes a certificate and key of our own; the key is readable for its owner only.
func (c *certificate) make(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "embergate " + host, Organization: []string{"Embergate"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLasts),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	template.DNSNames, template.IPAddresses = c.subjects(host)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeBeside(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return writeBeside(c.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// subjects are the names and addresses under which the machine can be reached now.
func (c *certificate) subjects(host string) (names []string, addresses []net.IP) {
	for _, name := range append([]string{host, "localhost"}, c.names...) {
		if ip := net.ParseIP(name); ip != nil && !ip.IsUnspecified() {
			addresses = append(addresses, ip)
		} else if ip == nil && name != "" {
			names = append(names, name)
		}
	}
	all, _ := net.InterfaceAddrs() // without them it is still a certificate
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			addresses = append(addresses, n.IP)
		}
	}
	return names, addresses
}

// writeBeside writes a file beside its place and then puts it there.
func writeBeside(file string, data []byte, mode fs.FileMode) error {
	part := file + ".part"
	_ = os.Remove(part) // of a run that was cut off
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}

// fingerprint is the SHA-256 of a certificate as browsers show it.
func fingerprint(leaf *x509.Certificate) string {
	sum := sha256.Sum256(leaf.Raw)
	return strings.TrimSuffix(strings.ToUpper(strings.Join(strings.Split(fmt.Sprintf("% x", sum), " "), ":")), ":")
}
