package notify

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/gateway/duty"
)

const emailKeys = `server: "%s", username: gw, password: pa55w0rd, from: gw@example.org, to: [list@example.org]`

// mailServer is Debian's aiosmtpd: with STARTTLS, with TLS from the start, and its certificate.
type mailServer struct {
	starttls, secure string
	roots            *x509.CertPool
	mails            *bufio.Scanner
}

// received is the next mail that the server took.
func (s *mailServer) received(t *testing.T) (to string, letter *mail.Message) {
	t.Helper()
	var got struct {
		From, User, Data string
		To               []string
	}
	if !s.mails.Scan() {
		t.Fatalf("no mail: %v", s.mails.Err())
	}
	if err := json.Unmarshal(s.mails.Bytes(), &got); err != nil || got.From != "gw@example.org" || got.User != "gw" || len(got.To) != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	letter, err := mail.ReadMessage(strings.NewReader(got.Data))
	if err != nil {
		t.Fatal(err)
	}
	return got.To[0], letter
}

func startMailServer(t *testing.T) *mailServer {
	if err := exec.Command("/usr/bin/python3", "-c", "import aiosmtpd").Run(); err != nil {
		needed(t, "needs python3-aiosmtpd (Debian package python3-aiosmtpd)")
	}
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: der}, "key": {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := exec.Command("/usr/bin/python3", "-W", "ignore", "testdata/smtp.py", filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	server.Stderr = os.Stderr
	in, _ := server.StdinPipe()
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); server.Process.Kill(); server.Wait() })
	s := &mailServer{mails: bufio.NewScanner(out), roots: x509.NewCertPool()}
	s.mails.Buffer(nil, 1<<20)
	var starttls, secure int
	if s.mails.Scan(); s.mails.Err() == nil {
		fmt.Sscan(s.mails.Text(), &starttls, &secure)
	}
	if secure == 0 {
		t.Fatal("the mail server does not start")
	}
	s.starttls, s.secure = fmt.Sprint("127.0.0.1:", starttls), fmt.Sprint("127.0.0.1:", secure)
	cert, _ := x509.ParseCertificate(der)
	s.roots.AddCert(cert)
	return s
}

// mailer is a mail channel that trusts the server.
func (s *mailServer) mailer(t *testing.T, keys, address string) *email {
	e := sender(t, "email", keys, address).(*email)
	e.client.RootCAs, e.secure = s.roots, address == s.secure
	return e
}

// TestEmail (NO01), with a mail server that is not ours: STARTTLS or TLS, login, a mail for each address, an answer for each.
func TestEmail(t *testing.T) {
	s := startMailServer(t)
	m := alarmed("alarm.raised")
	m.Alarm.ZonePath = "三层\r\nBcc: evil@example.org"
	m.Alarm.Message = strings.Repeat("关阀开窗。", 3000)
	m.Site.Name = "颐康\r\n养老院"
	m.To = []duty.Person{personOnDuty, {Name: "nobody"}}
	e := s.mailer(t, emailKeys, s.starttls)
	receipt, err := e.Send(context.Background(), m)
	if err != nil || receipt != "2.0.0 Ok: queued as 4F1B2C 2.0.0 Ok: queued as 4F1B2C" {
		t.Fatalf("%q %v", receipt, err)
	}
	var ids []string
	for _, want := range []string{"zhang@example.org", "list@example.org"} {
		to, letter := s.received(t)
		subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
		coded, _ := io.ReadAll(letter.Body)
		body, failed := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(coded), "\r\n", ""))
		from, _ := letter.Header.AddressList("From")
		if to != want || err != nil || failed != nil || !strings.HasPrefix(subject, "三层 Bcc: evil@example.org 厨房燃气探测器 燃气高报") || letter.Header.Get("Bcc") != "" ||
			letter.Header.Get("To") != "<"+want+">" || from[0].Name != "颐康 养老院" || letter.Header.Get("X-Priority") != "1" || letter.Header.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("to %s %v %v: %q %v", to, err, failed, subject, letter.Header)
		}
		if !strings.HasPrefix(string(body), subject+"\n12:00:05 32.5%LEL\n关阀开窗。") || !strings.HasSuffix(string(body), "编号 42/1\n") || len(body) > 20001 {
			t.Errorf("body of %d: %.200s", len(body), body)
		}
		for _, line := range strings.Split(string(coded), "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d", len(line))
			}
		}
		if at, err := letter.Header.Date(); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("date %v %v", at, err)
		}
		ids = append(ids, letter.Header.Get("Message-ID"))
	}
	if ids[0] == ids[1] || !strings.HasSuffix(ids[0], "@embergate>") {
		t.Errorf("ids %v", ids)
	}
	// The same event for somebody else, by TLS from the start: the list has it already; a repeat has the same id.
	e.c.Server, e.secure = s.secure, true
	_, port, _ := net.SplitHostPort(s.secure)
	fmt.Sscan(port, &e.port)
	if _, err := e.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if to, letter := s.received(t); to != "zhang@example.org" || letter.Header.Get("Message-ID") != ids[0] {
		t.Errorf("to %s, id %s", to, letter.Header.Get("Message-ID"))
	}
	m.To = m.To[1:]
	if _, err := e.Send(context.Background(), m); outcomeOf(err) != "never" || !strings.Contains(err.Error(), "nobody with an address") {
		t.Errorf("for nobody: %v", err)
	}
}

// TestEmailAnswersForEach: who has the mail does not get it again because the server cannot take it for another now; who is
// refused is named.
func TestEmailAnswersForEach(t *testing.T) {
	s := startMailServer(t)
	e := s.mailer(t, strings.Replace(emailKeys, "to: [list@example.org]", "to: []", 1), s.starttls)
	m := alarmed("alarm.raised")
	for code, want := range map[string]string{"421": "retry", "450": "retry", "451": "retry", "452": "retry", "550": "never", "552": "never", "553": "never", "554": "never"} {
		m.ID = "e" + code
		m.To = []duty.Person{{Email: "r" + code + "@example.org"}, {Email: "li" + code + "@example.org"}}
		_, err := e.Send(context.Background(), m)
		if outcomeOf(err) != want || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), "r4***@example.org") && !strings.Contains(err.Error(), "r5***@example.org") || strings.Contains(err.Error(), "r"+code+"@") {
			t.Errorf("%s: %v", code, err)
		}
		if to, _ := s.received(t); to != "li"+code+"@example.org" {
			t.Errorf("%s: to %s", code, to)
		}
		if want == "retry" {
			e.Send(context.Background(), m) // and li is not told again
		}
	}
	m.To = []duty.Person{{Email: "last@example.org"}}
	if _, err := e.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if to, _ := s.received(t); to != "last@example.org" {
		t.Errorf("somebody was told twice: %s", to)
	}
	wrong := s.mailer(t, strings.Replace(emailKeys, "pa55w0rd", "wr0ngw0rd", 1), s.starttls)
	if _, err := wrong.Send(context.Background(), m); outcomeOf(err) != "never" || !strings.Contains(err.Error(), "535") || strings.Contains(err.Error(), "wr0ngw0rd") {
		t.Errorf("a wrong password: %v", err)
	}
	wrong = s.mailer(t, emailKeys, s.starttls)
	wrong.client.RootCAs = x509.NewCertPool()
	if _, err := wrong.Send(context.Background(), m); outcomeOf(err) != "retry" || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

// TestEmailServersThatAreOdd: one that greets with 4xx, hangs, breaks or has no TLS is tried again and hears no password; one
// that greets with 5xx refuses.
func TestEmailServersThatAreOdd(t *testing.T) {
	m := alarmed("alarm.raised")
	for name, c := range map[string]struct {
		greeting string
		hello    string
		want     string
	}{
		"busy":       {"421 4.3.2 try later\r\n", "", "retry"},
		"closed":     {"554 5.3.2 no\r\n", "", "never"},
		"silent":     {"", "", "retry"},
		"broken":     {"220 mx\r\n", "!", "retry"},
		"no tls":     {"220 mx ESMTP\r\n", "250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n", "retry"},
		"no english": {"hello\r\n", "", "retry"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan []string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			var lines []string
			io.WriteString(conn, c.greeting)
			for in := bufio.NewScanner(conn); in.Scan(); {
				lines = append(lines, in.Text())
				if c.hello == "!" {
					break
				}
				answer := "502 5.5.1 no\r\n"
				if strings.HasPrefix(in.Text(), "EHLO") {
					answer = c.hello
				}
				io.WriteString(conn, answer)
			}
			heard <- lines
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err = sender(t, "email", emailKeys, l.Addr().String()).Send(ctx, m)
		cancel()
		if outcomeOf(err) != c.want {
			t.Errorf("%s: %s, %v", name, outcomeOf(err), err)
		}
		l.Close()
		if lines := <-heard; slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "AUTH") || strings.HasPrefix(line, "MAIL") }) {
			t.Errorf("%s heard %q", name, lines)
		}
	}
	if _, err := sender(t, "email", emailKeys, freeAddress(t)).Send(context.Background(), m); outcomeOf(err) != "retry" {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := sender(t, "email", strings.Replace(emailKeys, "to: [list@example.org]", "to: []", 1), freeAddress(t)).Send(context.Background(), m); outcomeOf(err) != "never" {
		t.Errorf("for nobody: %v", err)
	}
}
