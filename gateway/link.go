package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
)

// links are the addresses with which a message is answered from a phone, without a login: each is of one alarm, and of one
// person where the message was; it works for linkLife from when it was sent, and once. What names them is signed with a
// key that never leaves the state directory.
//
//	https://host/a/TOKEN     TOKEN = base64url( HMAC-SHA256 32 bytes | expiry, Unix seconds, 4 bytes | alarm 0x00 person )
type links struct {
	public string // https://host; "": there are no links
	key    []byte

	mu    sync.Mutex           // guards spent
	spent map[string]time.Time // links that were used, by their identity, until when they are kept
}

const (
	linkLife = 15 * time.Minute
	linkKey  = "link-key" // settings of the store
	spentKey = "link/"
)

// newLinks reads the key, or makes one, and which links were used.
func newLinks(ctx context.Context, st *store.Store, public string, now time.Time) (*links, []store.Setting, error) {
	l := &links{public: strings.TrimSuffix(public, "/"), spent: map[string]time.Time{}}
	if l.public == "" {
		return l, nil, nil
	}
	text, err := st.Get(ctx, linkKey)
	if err == nil {
		l.key, err = hex.DecodeString(text)
	}
	if err == nil && len(l.key) < sha256.Size {
		l.key = make([]byte, sha256.Size)
		rand.Read(l.key) // never fails
		err = st.Set(ctx, linkKey, hex.EncodeToString(l.key))
	}
	if err != nil {
		return &links{}, nil, fmt.Errorf("key of the links: %w", err)
	}
	used, err := st.Settings(ctx, spentKey)
	if err != nil {
		return &links{}, nil, fmt.Errorf("links that were used: %w", err)
	}
	var old []store.Setting
	for id, ends := range used {
		seconds, _ := strconv.ParseInt(ends, 10, 64)
		if until := time.Unix(seconds, 0); until.After(now) {
			l.spent[id] = until
		} else {
			old = append(old, store.Setting{Key: spentKey + id})
		}
	}
	return l, old, nil
}

// errand is what a token says.
type errand struct {
	alarm, person string
	ends          time.Time
	id            string
}

// token signs an alarm, a person ("": whoever says who they are) and an end.
func (l *links) token(alarm, person string, ends time.Time) string {
	said := binary.BigEndian.AppendUint32(nil, uint32(ends.Unix()))
	said = append(said, alarm+"\x00"+person...)
	return base64.RawURLEncoding.EncodeToString(append(l.sign(said), said...))
}

func (l *links) sign(said []byte) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write(said)
	return mac.Sum(nil)
}

// read is what a token says, false where it is not one of ours.
func (l *links) read(token string) (errand, bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) < sha256.Size+4 || len(l.key) == 0 || !hmac.Equal(data[:sha256.Size], l.sign(data[sha256.Size:])) {
		return errand{}, false
	}
	said := data[sha256.Size:]
	id, person, ok := strings.Cut(string(said[4:]), "\x00")
	return errand{alarm: id, person: person, ends: time.Unix(int64(binary.BigEndian.Uint32(said)), 0), id: hex.EncodeToString(data[:16])}, ok
}

func (l *links) used(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.spent[id]
	return ok
}

// spend notes that a link was used, and answers what is to be on disk with what it did.
func (l *links) spend(k errand, now time.Time) []store.Setting {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := k.ends.Add(time.Hour) // a clock that is set back does not bring it back soon
	l.spent[k.id] = until
	settings := []store.Setting{{Key: spentKey + k.id, Value: strconv.FormatInt(until.Unix(), 10)}}
	for id, t := range l.spent {
		if !t.After(now) {
			delete(l.spent, id)
			settings = append(settings, store.Setting{Key: spentKey + id})
		}
	}
	return settings
}

// asks tells whether a message wants somebody to acknowledge.
func asks(kind string) bool {
	return raises(kind) || store.Reminds(kind)
}

// link is the page with which whoever gets a message acknowledges its alarm; "" for none.
func (g *Gateway) link(m store.Message) string {
	d := g.told.Load()
	if d == nil || d.links.public == "" || m.Alarm == "" || !asks(m.Type) {
		return ""
	}
	person := m.To
	if strings.Contains(person, ",") {
		person = "" // it is whoever says who they are
	}
	return d.links.public + "/a/" + d.links.token(m.Alarm, person, time.Now().Add(linkLife))
}

var errLink = refuse(alarm.ErrNotFound, "this link is not valid: it works once, for %d minutes", int(linkLife/time.Minute))

// Link is what a link is for.
func (h *hub) Link(ctx context.Context, token string) (console.Link, error) {
	now := time.Now()
	k, ok := h.duty.links.read(token)
	if !ok || now.After(k.ends) || k.ends.Sub(now) > linkLife+time.Minute {
		return console.Link{}, errLink
	}
	a, _, err := h.store.Alarm(ctx, k.alarm)
	if errors.Is(err, store.ErrNotFound) {
		return console.Link{}, errLink
	}
	if err != nil {
		return console.Link{}, err
	}
	l := console.Link{Alarm: a, Used: h.duty.links.used(k.id)}
	if p, ok := h.g.Person(k.person); ok {
		l.Person = p.Name
	} else if h.g.plan != nil {
		for _, p := range h.g.plan.People {
			l.People = append(l.People, p.Name)
		}
	}
	return l, nil
}

// Answer acknowledges the alarm of a link. Person is the name of whoever answers, where the link does not say it.
func (h *hub) Answer(ctx context.Context, token, person string) (console.Link, error) {
	l, err := h.Link(ctx, token)
	if err != nil {
		return l, err
	}
	if l.Person != "" {
		person = l.Person
	}
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		k, ok := h.duty.links.read(token)
		if !ok || h.duty.links.used(k.id) {
			return nil, errLink
		}
		events, err := h.board.Acknowledge(now, k.alarm, alarm.Act{By: person, Via: "link"})
		if err == nil {
			h.duty.spent = append(h.duty.spent, h.duty.links.spend(k, now)...)
		}
		return events, err
	})
	if err != nil {
		return l, err
	}
	return h.Link(ctx, token)
}
