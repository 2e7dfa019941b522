package store

import (
	"math"
	"slices"
)

// stretch is what all signals said from one moment to another, in the order in which it came: a log, so that a change costs
// one write in memory, to the place behind the last. It begins with what was held already.
type stretch struct {
	from, until int64 // ticks; until is set when it ends
	blocks      [][]change
	n           int // changes in it
}

// change is one thing a signal said; its time is ticks since the stretch's from.
type change struct {
	value float64
	at    int32
	what  uint32 // number in memory << 8 | code
}

const blockOfChanges = 2048 // changes that are asked of the system at once

func (s *stretch) add(i int32, at int64, code uint8, value float64) {
	if s.n%blockOfChanges == 0 {
		s.blocks = append(s.blocks, make([]change, 0, blockOfChanges))
	}
	last := &s.blocks[len(s.blocks)-1]
	at = min(max(at-s.from, math.MinInt32), math.MaxInt32)
	*last = append(*last, change{value: value, at: int32(at), what: uint32(i)<<8 | uint32(code)})
	s.n++
}

// seen is the stretch as it is now, for one who looks at it while it goes on.
func (s *stretch) seen(until int64) stretch {
	return stretch{from: s.from, until: until, blocks: slices.Clone(s.blocks), n: s.n}
}

// of gathers what some signals said, from number first to before last, each by itself, into memory that is used again. Their
// times are those of the stretch.
func (s *stretch) of(first, last int, memory *[]entry) [][]entry {
	ends := make([]int, last-first+1)
	for _, block := range s.blocks {
		for _, c := range block {
			if i := int(c.what >> 8); i >= first && i < last {
				ends[i-first+1]++
			}
		}
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	all := slices.Grow((*memory)[:0], ends[last-first])
	*memory = all
	lists := make([][]entry, last-first)
	for i := range lists {
		lists[i] = all[ends[i]:ends[i]:ends[i+1]]
	}
	for _, block := range s.blocks {
		for _, c := range block {
			if i := int(c.what >> 8); i >= first && i < last {
				lists[i-first] = append(lists[i-first], entry{at: c.at, code: uint8(c.what), value: c.value})
			}
		}
	}
	return lists
}

// pieces are the chunks that a signal's changes make: one, but where a clock was set back, and where it is so long that
// nobody would look for it so far back: of what a disk kept waiting for longer than changes are kept, the latest. They are made
// in place.
func (s *stretch) pieces(list []entry) (chunks []chunk) {
	var c chunk
	end := func(until int64) {
		c.until = until
		if c.until-c.from <= longestChunk {
			chunks = append(chunks, c)
			return
		}
		for from := max(c.from, c.until-mostHeld); from < c.until; from = (from/periodTicks + 1) * periodTicks {
			chunks = append(chunks, c.cut(from, min((from/periodTicks+1)*periodTicks, c.until)))
		}
	}
	last, begun := int64(0), 0
	for i := range list {
		at := s.from + int64(list[i].at)
		if i > 0 && at < last {
			end(last)
			begun = i
		}
		if i == begun {
			c.from = at
		}
		last = at
		list[i].at = int32(at - c.from)
		c.entries = list[begun : i+1]
	}
	if len(list) > 0 {
		end(max(s.until, last))
	}
	return chunks
}
