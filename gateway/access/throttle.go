package access

import (
	"net/netip"
	"sync"
	"time"
)

// The limits of failed logins: so many at once, and one more after each period.
//
// One account from one address is guessed at slowly; so is one account from everywhere, and everything from one address.
// Whoever is logged in stays so, and an address from which an account is logged in is held to the first limit alone: a
// stranger who hammers on the door locks out neither the home nor the tablet that hangs in it.
var (
	pairLimit    = limit{5, 30 * time.Second}
	addressLimit = limit{20, 5 * time.Second}
	accountLimit = limit{20, 15 * time.Second}
	journalLimit = limit{20, 30 * time.Second} // lines of the journal about failed logins, of all together
)

type limit struct {
	burst  float64
	period time.Duration
}

// mostBuckets bounds the memory of a throttle: 4096 × about 100 bytes.
const mostBuckets = 4096

// throttle counts attempts by key.
type throttle struct {
	mu      *sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	limit
	left float64
	at   time.Time
}

func newThrottle() throttle { return throttle{&sync.Mutex{}, map[string]*bucket{}} }

// want is one key with its limit.
type want struct {
	key string
	limit
}

// take takes one attempt from each of the buckets, or from none where one is empty, and then says how long to wait.
func (t throttle) take(now time.Time, wants ...want) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := make([]*bucket, 0, len(wants))
	for _, w := range wants {
		b := t.buckets[w.key]
		if b == nil {
			t.makeRoom(now)
			b = &bucket{w.limit, w.burst, now}
			t.buckets[w.key] = b
		}
		b.refill(now)
		if b.left < 1 {
			wait = max(wait, time.Duration((1-b.left)*float64(b.period)))
		}
		taken = append(taken, b)
	}
	if wait > 0 {
		return wait
	}
	for _, b := range taken {
		b.left--
	}
	return 0
}

// giveBack undoes take: the attempt was no failure.
func (t throttle) giveBack(wants ...want) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range wants {
		if b := t.buckets[w.key]; b != nil {
			b.left = min(b.left+1, b.burst)
		}
	}
}

func (b *bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.left = min(b.left+float64(d)/float64(b.period), b.burst)
	}
	b.at = now
}

// makeRoom forgets full buckets when there are too many, and if none is full, any one.
func (t throttle) makeRoom(now time.Time) {
	if len(t.buckets) < mostBuckets {
		return
	}
	for key, b := range t.buckets {
		if b.refill(now); b.left >= b.burst {
			delete(t.buckets, key)
		}
	}
	for key := range t.buckets {
		if len(t.buckets) < mostBuckets {
			return
		}
		delete(t.buckets, key)
	}
}

// network is what counts as one address: for IPv6 the /64 that one machine may choose from.
func network(address string) string {
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
