package notify

import (
	"math"
	"slices"
	"time"
)

// limit is how many messages go within any period of a length; of them, a reserve is for what is urgent.
type limit struct {
	most, reserve int
	per           time.Duration
}

// pace is how a kind of channel takes messages.
type pace struct {
	limits []limit
	room   int // bytes for the list of alarms in a message that stands for several; 0: their number must do
}

// paces are the kinds that people read, which have their messages merged in a storm; each stays below what the far side
// takes from one robot, or sends to one number. A kind that a machine reads is not here: it gets every message, at once.
var paces = map[string]pace{
	"wecom":    {[]limit{{18, 5, time.Minute}}, 1500},                      // 20 a minute; a text of 2,048 bytes
	"dingtalk": {[]limit{{18, 5, time.Minute}}, 5000},                      // 20 a minute, then blocked for ten
	"feishu":   {[]limit{{90, 5, time.Minute}, {4, 0, time.Second}}, 5000}, // 100 a minute and 5 a second
	"ntfy":     {[]limit{{12, 5, time.Minute}}, 3000},                      // one in 5 s, after a burst of 60
	"bark":     {[]limit{{20, 5, time.Minute}}, 2000},                      // 4,096 bytes with everything
	"telegram": {[]limit{{18, 5, time.Minute}, {1, 0, time.Second}}, 3000}, // 20 a minute to a group, one a second
	"email":    {[]limit{{20, 5, time.Minute}}, 20_000},

	"aliyun_sms":   {[]limit{{4, 2, time.Minute}, {45, 15, day}}, 0},      // to one number 50 a day
	"aliyun_voice": {[]limit{{2, 1, time.Minute}, {18, 9, day}}, 0},       // to one number 20 a day
	"tencent_sms":  {[]limit{{1, 0, 30 * time.Second}, {30, 10, day}}, 0}, // to one number one in 30 s
}

const day = 24 * time.Hour

// budget is what a pace leaves to be sent. It is told the time, and what was sent.
type budget struct {
	limits []limit
	sent   []time.Time // oldest first, within the longest period
}

// left is how many messages may go now.
func (b *budget) left(now time.Time, urgent bool) int {
	left := math.MaxInt
	for _, l := range b.limits {
		left = min(left, max(l.allowed(urgent)-len(b.within(now, l.per)), 0))
	}
	return left
}

// next is when one more may go, now where it may go at once.
func (b *budget) next(now time.Time, urgent bool) time.Time {
	next := now
	for _, l := range b.limits {
		if sent, allowed := b.within(now, l.per), l.allowed(urgent); len(sent) >= allowed && len(sent) > 0 {
			if free := sent[max(len(sent)-allowed, 0)].Add(l.per); free.After(next) {
				next = free
			}
		}
	}
	return next
}

func (l limit) allowed(urgent bool) int {
	if urgent {
		return l.most
	}
	return l.most - l.reserve
}

// within is what was sent in the period that ends now. What a clock that was set back left in the future is none.
func (b *budget) within(now time.Time, per time.Duration) []time.Time {
	from := slices.IndexFunc(b.sent, func(t time.Time) bool { return now.Sub(t) < per })
	if from < 0 {
		return nil
	}
	sent := b.sent[from:]
	for len(sent) > 0 && sent[len(sent)-1].After(now) {
		sent = sent[:len(sent)-1]
	}
	return sent
}

// spend notes that one message went.
func (b *budget) spend(now time.Time) {
	longest := time.Duration(0)
	for _, l := range b.limits {
		longest = max(longest, l.per)
	}
	b.sent = append(slices.Clone(b.within(now, longest)), now)
}
