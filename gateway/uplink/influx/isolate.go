package influx

import (
	"bytes"
	"context"
	"time"
)

// isolations is how many posts a batch may cost whose good lines were kept by the server: finding its bad lines only
// serves the record.
const isolations = 64

// isolate deals with a piece that the server will not take as it is: it is cut until the bad lines are alone, and these
// become dead letters with the server's words. Every call makes the piece smaller, so it ends.
func (s *sender) isolate(ctx context.Context, l *lane, r *refusal) {
	l.backoff = 0 // the server works: it has read the lines
	if l == &s.live && l.parcel.key != 0 {
		s.lastLive = max(s.lastLive, l.parcel.key)
		p := l.parcel
		l.parcel = nil
		if s.backlog.parcel != nil {
			return // its turn comes: it is still in the queue
		}
		l = &s.backlog // so that the next live batch does not wait for this
		l.parcel = p
	}
	p := l.parcel
	if r.verdict == linesKept {
		s.u.stand.Works(time.Now())
	}
	lines, err := expand(p.next())
	if err != nil {
		if s.deadLetter(ctx, l, p.next(), 1, err.Error()) {
			s.popped(ctx, l)
		}
		return
	}
	split := bytes.SplitAfter(lines, []byte("\n"))
	if n := len(split); len(split[n-1]) == 0 {
		split = split[:n-1]
	}
	n := len(split)
	switch {
	case r.verdict == linesKept && named(r, n):
		s.giveUpNamed(ctx, l, split, r)
	case n <= 1 || r.verdict == linesKept && r.dropped >= n:
		s.giveUp(ctx, l, split, r.Error())
	case r.verdict == linesKept && p.posts > isolations:
		s.giveUp(ctx, l, split, "at least one of these lines, the others were taken: "+r.Error())
	default:
		p.pop()
		p.pieces = append(p.pieces, s.compress(bytes.Join(split[n/2:], nil)), s.compress(bytes.Join(split[:n/2], nil)))
	}
}

// named tells whether the server names every line it refused, out of n.
func named(r *refusal, n int) bool {
	for _, l := range r.lines {
		if l.number < 1 || l.number > n {
			return false
		}
	}
	return len(r.lines) > 0
}

func (s *sender) giveUpNamed(ctx context.Context, l *lane, split [][]byte, r *refusal) {
	for _, bad := range r.lines {
		if !s.deadLetter(ctx, l, split[bad.number-1], 1, bad.words) {
			return
		}
	}
	s.popped(ctx, l)
}

func (s *sender) giveUp(ctx context.Context, l *lane, lines [][]byte, reason string) {
	if s.deadLetter(ctx, l, bytes.Join(lines, nil), len(lines), reason) {
		s.popped(ctx, l)
	}
}

// deadLetter keeps lines that the server refused. Where the store fails, the piece stays and is tried again later.
func (s *sender) deadLetter(ctx context.Context, l *lane, lines []byte, n int, reason string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	now := time.Now()
	err := s.q.DeadLetter(ctx, lines, reason, now)
	s.disk(ctx, l, err)
	if err != nil {
		return false
	}
	l.parcel.refused += n
	l.parcel.words = reason
	s.u.stand.Rejected(now, n, reason)
	return true
}

// popped goes on after a piece that was given up.
func (s *sender) popped(ctx context.Context, l *lane) {
	l.parcel.pop()
	l.backoff = 0
	if len(l.parcel.pieces) == 0 {
		s.settle(ctx, l)
	}
}
