package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"

	"github.com/wneessen/go-mail"
)

// emailSettings are a mail server; port 465 is TLS from the start, any other begins with STARTTLS.
type emailSettings struct {
	Server   string      `yaml:"server"` // host:port
	Username string      `yaml:"username"`
	Password conf.Secret `yaml:"password"` // an authorisation code with QQ and 163
	From     string      `yaml:"from"`
	To       []string    `yaml:"to"` // besides the people on duty
}

func (c *emailSettings) check(s conf.Section) {
	if host, port, err := net.SplitHostPort(c.Server); err != nil || host == "" || !isPort(port) {
		s.At("server").Problem("the mail server is host:port, such as smtp.example.org:465")
	}
	if (c.Username == "") != !c.Password.IsSet() {
		s.At("password").Problem("username and password come together")
	}
	address := regexp.MustCompile(`^[^@\s<>]+@[^@\s<>]+$`)
	for i, a := range append([]string{c.From}, c.To...) {
		if address.MatchString(a) {
			continue
		}
		at := s.At("from")
		if i > 0 {
			at = s.At("to").Items()[i-1]
		}
		at.Problem("%q is not a mail address", a)
	}
}

func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

// email sends a mail to each address, by one connection: the server answers for each, and nobody sees who else has it.
// Names and password never travel in clear.
type email struct {
	c      emailSettings
	host   string
	port   int
	secure bool // TLS from the start
	client *tls.Config
	mask   *strings.Replacer
	lang   i18n.Lang
	partly

	heard sync.Mutex
	told  map[string]bool // events of which the addresses of the configuration have been told; guarded by heard
}

const (
	smtps        = 465
	emailSubject = 200     // bytes
	emailText    = 20000   // bytes
	maxTold      = 1 << 12 // events that are remembered; when there are more, all are forgotten
)

func newEmail(c emailSettings, o Options) Channel {
	e := &email{c: c, mask: masking([]string{c.Password.Reveal()}), lang: o.Lang, told: map[string]bool{}}
	host, port, _ := net.SplitHostPort(c.Server)
	e.host = host
	e.port, _ = strconv.Atoi(port)
	e.secure = e.port == smtps
	e.client = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	return e
}

// Send sends the message to the people it is for, and once to the addresses of the configuration; the receipts are what the
// server said, which is where it names the place in its queue.
func (e *email) Send(ctx context.Context, m Message) (receipt string, err error) {
	var people []string
	for _, p := range m.To {
		if p.Email != "" && !slices.Contains(people, p.Email) {
			people = append(people, p.Email)
		}
	}
	all := slices.Clone(people)
	if len(m.To) == 0 || !e.knows(m.ID) {
		all = append(all, slices.DeleteFunc(slices.Clone(e.c.To), func(a string) bool { return slices.Contains(people, a) })...)
	}
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	if len(all) > 0 {
		receipt, err = e.deliver(m.ID+"\n"+strings.Join(people, "\n"), all, func(to []string) map[string]result {
			results := e.mail(ctx, m, to)
			e.note(m.ID, results)
			return results
		})
	}
	if err == nil && len(people) == 0 && (len(m.To) > 0 || len(e.c.To) == 0) {
		return "", &Refused{Detail: "email: nobody with an address"}
	}
	return receipt, err
}

// knows tells whether the addresses of the configuration have been told of an event, by a message for somebody else.
func (e *email) knows(id string) bool {
	e.heard.Lock()
	defer e.heard.Unlock()
	return e.told[id]
}

// note remembers that all addresses of the configuration have been told of an event.
func (e *email) note(id string, results map[string]result) {
	for _, address := range e.c.To {
		if r, ok := results[address]; !ok || r.err != nil {
			return
		}
	}
	e.heard.Lock()
	defer e.heard.Unlock()
	if len(e.told) >= maxTold {
		clear(e.told)
	}
	e.told[id] = true
}

// mail sends a mail to each address by one connection.
func (e *email) mail(ctx context.Context, m Message, to []string) map[string]result {
	results := map[string]result{}
	client, hangUp, err := e.dial(ctx)
	defer hangUp()
	for _, address := range to {
		if err != nil {
			results[address] = result{err: e.sort(err)}
			continue
		}
		receipt, failed := e.one(client, m, address)
		results[address] = result{receipt, failed}
	}
	return results
}

// dial is a connection after STARTTLS and login. Whatever the library does, hangUp closes it, and so does the end of until.
func (e *email) dial(until context.Context) (client *mail.Client, hangUp func(), err error) {
	var conn net.Conn
	stop := func() bool { return false }
	hangUp = func() {
		if client != nil {
			client.Close() // says QUIT where it is connected
		}
		stop()
		if conn != nil {
			conn.Close()
		}
	}
	options := []mail.Option{mail.WithPort(e.port), mail.WithTimeout(connecting), mail.WithTLSConfig(e.client), mail.WithTLSPolicy(mail.TLSMandatory),
		mail.WithDialContextFunc(func(ctx context.Context, network, address string) (got net.Conn, err error) {
			if e.secure {
				got, err = (&tls.Dialer{Config: e.client}).DialContext(ctx, network, address)
			} else {
				got, err = new(net.Dialer).DialContext(ctx, network, address)
			}
			if err == nil {
				conn = got
				stop = context.AfterFunc(until, func() { got.Close() })
			}
			return got, err
		})}
	if e.secure {
		options = append(options, mail.WithSSL())
	}
	if e.c.Username != "" {
		options = append(options, mail.WithOpportunisticSMTPAuth(mail.SMTPAuthPlain, mail.SMTPAuthLogin), mail.WithUsername(e.c.Username), mail.WithPassword(e.c.Password.Reveal()))
	}
	client, err = mail.NewClient(e.host, options...)
	if err == nil {
		err = client.DialWithContext(until)
	}
	return client, hangUp, err
}

// one sends a mail to one address.
func (e *email) one(client *mail.Client, m Message, address string) (receipt string, err error) {
	letter, err := e.letter(m, address)
	if err != nil {
		return "", &Refused{Detail: "email: " + e.mask.Replace(err.Error())}
	}
	if err := client.Send(letter); err != nil && !letter.IsDelivered() {
		return "", e.sort(err)
	}
	return cut(oneLine(letter.ServerResponse()), 200), nil
}

// letter is the message as a mail. Its Message-ID is that of the event, so that a repeat is one.
func (e *email) letter(m Message, address string) (*mail.Msg, error) {
	said := say(m, e.lang)
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent(), mail.WithEncoding(mail.EncodingB64))
	if err := errors.Join(letter.FromFormat(oneLine(m.Site.Name), e.c.From), letter.To(address)); err != nil {
		return nil, err
	}
	letter.Subject(said.title(emailSubject))
	letter.SetDateWithValue(time.Now())
	letter.SetMessageIDWithValue(hexSHA256(m.Site.ID + "\n" + m.ID + "\n" + address)[:32] + "@embergate")
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	if m.severity() >= prealarm {
		letter.SetImportance(mail.ImportanceHigh) // X-Priority: 1
	}
	letter.SetBodyString(mail.TypeTextPlain, said.text(emailText)+"\n")
	return letter, nil
}

func (e *email) preview(m Message) string {
	said := say(m, e.lang)
	return said.title(emailSubject) + "\n\n" + said.text(emailText)
}

// sort sorts a failure: what the server answers with 5xx is refused for good, anything else may be tried again.
func (e *email) sort(err error) error {
	code := 0
	var of *mail.SendError
	var said *textproto.Error
	switch {
	case errors.As(err, &of) && of.ErrorCode() > 0:
		code = of.ErrorCode()
	case errors.As(err, &said):
		code = said.Code
	}
	detail := fmt.Sprintf("email %s: %s", e.c.Server, cut(oneLine(e.mask.Replace(err.Error())), 300))
	if code >= 500 && code < 600 {
		return &Refused{Detail: detail}
	}
	return errors.New(detail)
}
