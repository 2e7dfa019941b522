package drivers

import "sync"

// batches are those that nobody uses any more: a poll of each device each second would else make most of the garbage.
var batches sync.Pool

// leastBatch is the capacity below which a batch is not worth keeping: it would only be in the way of a poll's.
const leastBatch = 16

// Batch is a slice of n readings to emit, all zero. It may be one that was given back.
func Batch(n int) []Reading {
	if b, ok := batches.Get().(*[]Reading); ok && cap(*b) >= n {
		batch := (*b)[:n]
		clear(batch)
		return batch
	}
	return make([]Reading, n, max(n, leastBatch))
}

// Recycle gives back a batch that was emitted, once nothing reads it any more. All its capacity may be written over, so no two
// batches may share an array.
func Recycle(batch []Reading) {
	if cap(batch) >= leastBatch {
		batches.Put(&batch)
	}
}
