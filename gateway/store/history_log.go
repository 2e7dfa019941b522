package store

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"
)

// stretch is what all signals said from one moment to another, in the order in which it came: a log, so that a change costs
// one write in memory, to the place behind the last. It begins with what was held already.
//
//	block   changes
//	change  head | signal, where it is not the one after the last change's | time, where it is another | value, where it has one
//	head    code | 16: the next signal | 32: the same time | 64: float64, else float32
//	signal  its number in memory; time: ticks since the last change's, zigzag. Both are varints
//
// The first change of a block is as if the one before it was of signal -1, at 0, so that a block is read by itself.
type stretch struct {
	from, until int64 // ticks; until is set when it ends
	blocks      [][]byte
	n           int // changes in it

	signal, at int32 // of the latest change in the last block
}

const (
	headCode  = 15
	headNext  = 16
	headSame  = 32
	headWhole = 64

	bytesInBlock = 32 << 10                                              // that are asked of the system at once
	mostOfChange = 1 + binary.MaxVarintLen32 + binary.MaxVarintLen64 + 8 // bytes
)

func (s *stretch) add(i int32, at int64, code uint8, value float64) {
	if n := len(s.blocks); n == 0 || len(s.blocks[n-1]) > bytesInBlock-mostOfChange {
		s.blocks = append(s.blocks, make([]byte, 0, bytesInBlock))
		s.signal, s.at = -1, 0
	}
	last := &s.blocks[len(s.blocks)-1]
	b, head := append(*last, code), len(*last)
	if i == s.signal+1 {
		b[head] |= headNext
	} else {
		b = binary.AppendUvarint(b, uint64(i))
	}
	since := int32(min(max(at-s.from, math.MinInt32), math.MaxInt32))
	if since == s.at {
		b[head] |= headSame
	} else {
		b = binary.AppendVarint(b, int64(since)-int64(s.at))
	}
	switch short := float32(value); {
	case code >= codeBad:
	case float64(short) == value:
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(short))
	default:
		b[head] |= headWhole
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value))
	}
	*last = b
	s.n, s.signal, s.at = s.n+1, i, since
}

// changes are what signals from first to before last said, by their numbers in memory; times are since the stretch's from.
func (s *stretch) changes(first, last int32) iter.Seq2[int32, entry] {
	return func(yield func(i int32, e entry) bool) {
		for _, b := range s.blocks {
			i, at := int32(-1), int32(0)
			for n := 0; n < len(b); {
				head := b[n]
				n++
				if head&headNext != 0 {
					i++
				} else {
					signal, size := binary.Uvarint(b[n:])
					i, n = int32(signal), n+size
				}
				if head&headSame == 0 {
					since, size := binary.Varint(b[n:])
					at, n = at+int32(since), n+size
				}
				e := entry{at: at, code: head & headCode}
				switch {
				case e.code >= codeBad:
				case head&headWhole != 0:
					e.value = math.Float64frombits(binary.LittleEndian.Uint64(b[n:]))
					n += 8
				default:
					e.value = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[n:])))
					n += 4
				}
				if i < first || i >= last {
					continue
				}
				if !yield(i, e) {
					return
				}
			}
		}
	}
}

// seen is the stretch as it is now, for one who looks at it while it goes on.
func (s *stretch) seen(until int64) stretch {
	return stretch{from: s.from, until: until, blocks: slices.Clone(s.blocks), n: s.n}
}

// of is what one signal said.
func (s *stretch) of(signal int32) (list []entry) {
	for _, e := range s.changes(signal, signal+1) {
		list = append(list, e)
	}
	return list
}

// each hands over what each of so many signals said, those that said nothing left out. A list is the caller's until it
// returns.
func (s *stretch) each(signals int, do func(i int, list []entry) error) error {
	counts := make([]int, signals)
	for i := range s.changes(0, int32(signals)) {
		counts[i]++
	}
	var memory []entry
	lists := make([][]entry, signals)
	for first, last := 0, 0; first < signals; first = last {
		n := 0
		for last = first; last < signals && (n == 0 || n+counts[last] <= changesAtOnce); last++ {
			n += counts[last]
		}
		memory = slices.Grow(memory[:0], n)
		n = 0
		for i := first; i < last; i++ {
			lists[i] = memory[n : n : n+counts[i]]
			n += counts[i]
		}
		for i, e := range s.changes(int32(first), int32(last)) {
			lists[i] = append(lists[i], e)
		}
		for i := first; i < last; i++ {
			if len(lists[i]) == 0 {
				continue
			}
			if err := do(i, lists[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// changesAtOnce are gathered at once to be written: some hundred kilobytes, and the log is gone through a dozen times at most.
const changesAtOnce = 16 << 10

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
