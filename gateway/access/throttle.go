package access

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The limits of failed logins: so many at once, and one more after each period.
//
// One account from one address is guessed at slowly; so is one account from everywhere, and everything from one address.
// Whoever is logged in stays so, and an address from which an account is logged in is held to the first limit alone: a
// stranger who hammers on the door locks out neither the home nor the tablet that hangs in it.
var (
	pairLimit    = Limit{5, 30 * time.Second}
	addressLimit = Limit{20, 5 * time.Second}
	accountLimit = Limit{20, 15 * time.Second}
	journalLimit = Limit{20, 30 * time.Second} // lines of the journal about failed logins, of all together
)

// Limit is so many acts at once, and one more after each period.
type Limit struct {
	Burst  float64
	Period time.Duration
}

// mostBuckets bounds the memory of a throttle: 4096 × about 100 bytes.
const mostBuckets = 4096

// Throttle counts acts by key. It may be used by several at once.
type Throttle struct {
	mu      *sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	Limit
	left float64
	at   time.Time
}

// NewThrottle is one that has counted nothing.
func NewThrottle() Throttle { return Throttle{&sync.Mutex{}, map[string]*bucket{}} }

// Want is one key with its limit.
type Want struct {
	Key string
	Limit
}

// Take takes one act from each of the buckets, or from none where one is empty, and then says how long to wait.
func (t Throttle) Take(now time.Time, wants ...Want) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range wants {
		if b := t.buckets[w.Key]; b != nil {
			if b.refill(now); b.left < 1 {
				wait = max(wait, time.Duration((1-b.left)*float64(b.Period)))
			}
		}
	}
	if wait > 0 {
		return wait // and what is refused makes no bucket
	}
	t.makeRoom(now, len(wants))
	for _, w := range wants {
		b := t.buckets[w.Key]
		if b == nil {
			b = &bucket{w.Limit, w.Burst, now}
			t.buckets[w.Key] = b
		}
		b.left--
	}
	return 0
}

// giveBack undoes Take: the attempt was no failure.
func (t Throttle) giveBack(wants ...Want) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range wants {
		if b := t.buckets[w.Key]; b != nil {
			b.left = min(b.left+1, b.Burst)
		}
	}
}

func (b *bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.left = min(b.left+float64(d)/float64(b.Period), b.Burst)
	}
	b.at = now
}

// makeRoom forgets a quarter of the buckets where there is no room for so many more: the fullest, so that whoever is refused
// is not forgotten for those who tried once.
func (t Throttle) makeRoom(now time.Time, more int) {
	if len(t.buckets)+more <= mostBuckets {
		return
	}
	keys := make([]string, 0, len(t.buckets))
	for key, b := range t.buckets {
		b.refill(now)
		keys = append(keys, key)
	}
	full := func(key string) float64 { return t.buckets[key].left / t.buckets[key].Burst }
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(full(b), full(a)) })
	for _, key := range keys[:mostBuckets/4] {
		delete(t.buckets, key)
	}
}

// Network is what counts as one address: for IPv6 the /64 that one machine may choose from.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	p, _ := ip.WithZone("").Prefix(64) // 64 of 128 bits
	return p.String()
}
