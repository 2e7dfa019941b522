package modbus

import (
	"cmp"
	"slices"
	"time"
)

// span is a run of addresses that must be read in one request: one value, or several values at the very same place.
type span struct {
	table  Table
	first  int
	count  int
	points []int // indexes of the points that are made of it
}

func (s span) end() int { return s.first + s.count }

// limits are what one request to a device may hold.
type limits struct {
	gap       int // addresses read for nothing between two values
	registers int // 1 to 125
	bits      int // 1 to 2000
}

// block is one request of a poll: the spans it reads, sorted by address, and what is known of it.
type block struct {
	spans []span

	fault   fault     // why it was last not read; the zero value while it is
	retry   time.Time // not asked again before
	silence int       // how many times running nothing came back
}

func (b *block) table() Table { return b.spans[0].table }
func (b *block) first() int   { return b.spans[0].first }

func (b *block) end() int {
	end := 0
	for _, s := range b.spans {
		end = max(end, s.end())
	}
	return end
}

func (b *block) count() int { return b.end() - b.first() }

// plan covers all points with the fewest requests: sorted by address, a request takes what follows while it fits. That
// is optimal, because a request must start at the first value that is not yet covered, and one that starts there and
// takes all it can reaches at least as far as any other.
func plan(points []point, l limits) []*block {
	var blocks []*block
	all := slices.Clip(spans(points))
	begin := 0 // of the last block
	for i, s := range all {
		if n := len(blocks); n > 0 && blocks[n-1].takes(s, l) {
			blocks[n-1].spans = all[begin : i+1 : i+1]
			continue
		}
		begin = i
		blocks = append(blocks, &block{spans: all[i : i+1 : i+1]})
	}
	return blocks
}

// spans are the places of the points, each once, by table, address and length.
func spans(points []point) []span {
	all := make([]span, len(points))
	for i, p := range points {
		all[i] = span{p.at.Table, int(p.at.Number), p.count, []int{i}}
	}
	slices.SortStableFunc(all, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.first, b.first), cmp.Compare(a.count, b.count))
	})
	merged := all[:0]
	for _, s := range all {
		if n := len(merged); n > 0 && merged[n-1].table == s.table && merged[n-1].first == s.first && merged[n-1].count == s.count {
			merged[n-1].points = append(merged[n-1].points, s.points...)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// takes tells whether a span that starts at or behind the block's last one fits into the same request.
func (b *block) takes(s span, l limits) bool {
	most := l.registers
	if s.table.Bits() {
		most = l.bits
	}
	return s.table == b.table() && s.first-b.end() <= l.gap && max(s.end(), b.end())-b.first() <= most
}

// halve splits a block of several spans into two.
func (b *block) halve() (left, right *block) {
	middle := len(b.spans) / 2
	return &block{spans: b.spans[:middle:middle]}, &block{spans: b.spans[middle:]}
}

// join makes one block of two neighbours, where one request can hold both.
func join(left, right *block, l limits) (*block, bool) {
	one := &block{spans: slices.Clone(left.spans)}
	for _, s := range right.spans {
		if !one.takes(s, l) {
			return nil, false
		}
		one.spans = append(one.spans, s)
	}
	return one, true
}

// slice takes a span's bytes out of its block's reply: registers as on the wire, or one byte 0 or 1 for a bit.
func (b *block) slice(data []byte, s span) []byte {
	offset := s.first - b.first()
	if s.table.Bits() {
		return []byte{data[offset/8] >> (offset % 8) & 1}
	}
	return data[2*offset : 2*s.end()-2*b.first() : 2*s.end()-2*b.first()]
}
