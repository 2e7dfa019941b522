package store

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"embergate/drivers"
)

// tick is the resolution of history: a tenth of a second. Times in chunks are ticks since 1970.
const ticksPerSecond = 10

// chunk is what one signal said between two moments. Between two entries the signal held what the earlier said, and after
// the last until the end; before the first, and outside of chunks, nothing is known: the gateway did not run.
//
//	raw chunk   from | until-from | entries | times: differences, in runs | codes: runs | values
//	values      exponent e: zigzag differences of round(value × 10^e); 254: differences of the bits of float32; 255: of float64
//	times       2 × difference, or 1 + 2 × (n - 1): the last difference n times more
//
// All numbers are varints. The whole is deflated where that makes it smaller. Its first byte is 2 plain, 3 deflated; or, as an
// earlier version wrote it, 0 plain, 1 deflated, with every difference of times by itself.
type chunk struct {
	from, until int64
	entries     []entry
}

// entry is one thing a signal said: from at on, a value or why there is none.
type entry struct {
	at    int32 // ticks since the chunk's from
	code  uint8 // quality and reason
	value float64
}

// Codes of entries: codeGood and codeUncertain have a value; codeBad + i is bad for drivers.Reasons[i].
const (
	codeGood = iota
	codeUncertain
	codeBad
)

func codeOf(r *drivers.Reading) uint8 {
	switch {
	case r.Quality == drivers.Good:
		return codeGood
	case r.Quality == drivers.Uncertain:
		return codeUncertain
	}
	return codeBad + uint8(max(slices.Index(drivers.Reasons, r.Reason), 0))
}

// reasonOf is the reason of a bad code, "" of one with a value.
func reasonOf(code uint8) drivers.Reason {
	if i := int(code) - codeBad; i >= 0 && i < len(drivers.Reasons) {
		return drivers.Reasons[i]
	}
	return ""
}

var errChunk = errors.New("not a chunk of history")

// packer encodes chunks; it is reused, since deflate is costly to set up.
type packer struct {
	plain  []byte
	values []float64
	out    bytes.Buffer
	w      *flate.Writer // of a megabyte; nil until something is worth deflating
}

// First bytes of what is kept; one more: it is deflated.
const (
	eachTime   = 0
	timesInRun = 2
)

// deflated is the plain bytes as they are kept; they are the packer's until its next call.
func (p *packer) deflated(first byte) []byte {
	p.out.Reset()
	p.out.WriteByte(first + 1)
	if p.w == nil {
		p.w, _ = flate.NewWriter(&p.out, flate.BestSpeed) // the level is valid
	} else {
		p.w.Reset(&p.out)
	}
	p.w.Write(p.plain) // a bytes.Buffer takes everything
	p.w.Close()
	if p.out.Len() > len(p.plain) {
		return p.undeflated(first)
	}
	return p.out.Bytes()
}

func (p *packer) undeflated(first byte) []byte {
	p.out.Reset()
	p.out.WriteByte(first)
	p.out.Write(p.plain)
	return p.out.Bytes()
}

// unpacker decodes chunks; it is reused like a packer. What it returns of bytes is its own until its next call.
type unpacker struct {
	in  bytes.Reader
	r   io.ReadCloser
	out bytes.Buffer
}

func newUnpacker() *unpacker {
	u := &unpacker{}
	u.r = flate.NewReader(&u.in)
	return u
}

// inflated is the reverse of deflated; what would be larger than any chunk is refused.
func (u *unpacker) inflated(b []byte) ([]byte, error) {
	const most = 16 << 20
	if len(b) == 0 || b[0] > timesInRun+1 {
		return nil, errChunk
	}
	if b[0]&1 == 0 {
		return b[1:], nil
	}
	u.in.Reset(b[1:])
	u.out.Reset()
	err := u.r.(flate.Resetter).Reset(&u.in, nil)
	if err == nil {
		_, err = u.out.ReadFrom(io.LimitReader(u.r, most+1))
	}
	if err != nil || u.out.Len() > most {
		return nil, fmt.Errorf("%w: %d bytes inflated, %v", errChunk, u.out.Len(), err)
	}
	return u.out.Bytes(), nil
}

// raw encodes a chunk.
func (p *packer) raw(c chunk) []byte {
	b := p.plain[:0]
	b = binary.AppendUvarint(b, uint64(c.from))
	b = binary.AppendUvarint(b, uint64(c.until-c.from))
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	b = appendTimes(b, c.entries)
	for i := 0; i < len(c.entries); {
		run := i + 1
		for run < len(c.entries) && c.entries[run].code == c.entries[i].code {
			run++
		}
		b = append(binary.AppendUvarint(b, uint64(run-i)), c.entries[i].code)
		i = run
	}
	p.values = p.values[:0]
	for _, e := range c.entries {
		if e.code < codeBad {
			p.values = append(p.values, e.value)
		}
	}
	var noisy bool
	p.plain, noisy = appendValues(b, p.values)
	if noisy { // it would cost ten times what the rest does, and save a tenth
		return p.undeflated(timesInRun)
	}
	return p.deflated(timesInRun)
}

func appendTimes(b []byte, entries []entry) []byte {
	last, step, repeated := int32(0), int32(-1), uint64(0)
	for _, e := range entries {
		if d := e.at - last; d == step {
			repeated++
		} else {
			b = appendRepeated(b, repeated)
			b = binary.AppendUvarint(b, uint64(d)<<1)
			step, repeated = d, 0
		}
		last = e.at
	}
	return appendRepeated(b, repeated)
}

func appendRepeated(b []byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendUvarint(b, (n-1)<<1|1)
}

// raw decodes a chunk.
func (u *unpacker) raw(b []byte) (c chunk, err error) {
	plain, err := u.inflated(b)
	if err != nil {
		return c, err
	}
	r := &cursor{b: plain}
	c.from = int64(r.uvarint())
	c.until = c.from + int64(r.uvarint())
	n := r.count(1)
	c.entries = make([]entry, n)
	next := r.uvarint
	if b[0] >= timesInRun {
		next = r.inRuns()
	}
	last := int64(0)
	for i := range c.entries {
		last += int64(next())
		if last > math.MaxInt32 || last < 0 {
			return c, errChunk
		}
		c.entries[i].at = int32(last)
	}
	values := 0
	for i := 0; i < n && !r.failed; {
		run, code := int(min(r.uvarint(), uint64(n))), r.byte()
		if run == 0 || run > n-i {
			return c, errChunk
		}
		for range run {
			c.entries[i].code = code
			i++
		}
		if code < codeBad {
			values += run
		}
	}
	list := r.values(values)
	if r.failed || c.until < c.from {
		return c, errChunk
	}
	for i := range c.entries {
		if c.entries[i].code < codeBad {
			c.entries[i].value, list = list[0], list[1:]
		}
	}
	return c, nil
}

// Values are kept as whole numbers where so many decimals say them to nine digits, as scaled registers do.
const (
	mostDecimals = 6
	asShortBits  = 254
	asBits       = 255
)

// decimals is the least number of decimals that says all values to nine digits, asBits where none does.
func decimals(values []float64) byte {
	e := 0
	for _, v := range values {
		for ; ; e++ {
			if e > mostDecimals {
				return asBits
			}
			scaled := v * pow10[e]
			if math.Abs(scaled) > 1<<52 {
				return asBits
			}
			if math.Abs(math.Round(scaled)-scaled) <= 1e-9*math.Abs(scaled) {
				break
			}
		}
	}
	return byte(e)
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// appendValues also tells whether the values are noise to the last bit, as those of an instrument that gives floats.
func appendValues(b []byte, values []float64) (_ []byte, noisy bool) {
	e := decimals(values)
	if e == asBits && !slices.ContainsFunc(values, func(v float64) bool { return float64(float32(v)) != v }) {
		e = asShortBits
	}
	b = append(b, e)
	switch e {
	case asShortBits:
		last := uint32(0)
		for _, v := range values {
			now := math.Float32bits(float32(v))
			b = binary.AppendUvarint(b, uint64(now^last)) // what is near differs behind
			last = now
		}
	case asBits:
		last := uint64(0)
		for _, v := range values {
			now := math.Float64bits(v)
			b = binary.AppendUvarint(b, bits.Reverse64(now^last)) // what differs is in front, and short in reverse
			last = now
		}
	default:
		last := int64(0)
		for _, v := range values {
			now := int64(math.Round(v * pow10[e]))
			b = binary.AppendVarint(b, now-last)
			last = now
		}
	}
	return b, e == asShortBits
}

// cursor reads numbers; after the first that is not there, all are 0 and failed is set.
type cursor struct {
	b      []byte
	failed bool
}

func (r *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *cursor) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *cursor) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// count is a number of things of which each takes so many bytes at least.
func (r *cursor) count(bytes int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/bytes) {
		r.failed, r.b = true, nil
		return 0
	}
	return int(n)
}

// inRuns reads the differences of times.
func (r *cursor) inRuns() func() uint64 {
	var step, left uint64
	return func() uint64 {
		if left > 0 {
			left--
			return step
		}
		switch v := r.uvarint(); {
		case v&1 == 1:
			left = v >> 1
		default:
			step = v >> 1
		}
		return step
	}
}

func (r *cursor) values(n int) []float64 {
	list := make([]float64, n)
	e := r.byte()
	if e < asShortBits && int(e) >= len(pow10) {
		r.failed = true
		return list
	}
	short, long, last := uint32(0), uint64(0), int64(0)
	for i := range list {
		switch e {
		case asShortBits:
			short ^= uint32(r.uvarint())
			list[i] = float64(math.Float32frombits(short))
		case asBits:
			long ^= bits.Reverse64(r.uvarint())
			list[i] = math.Float64frombits(long)
		default:
			last += r.varint()
			list[i] = float64(last) / pow10[e]
		}
	}
	return list
}
