package drivers

import "sync"

// batches are those that nobody uses any more: a poll of each device each second would else make most of the garbage.
var batches sync.Pool

// Batch is a slice of n readings to emit, all zero. It may be one that was given back.
func Batch(n int) []Reading {
	if b, ok := batches.Get().(*[]Reading); ok && cap(*b) >= n {
		batch := (*b)[:n]
		clear(batch)
		return batch
	}
	return make([]Reading, n, max(n, 16))
}

// Recycle gives back a batch that was emitted, once nothing reads it any more.
func Recycle(batch []Reading) { batches.Put(&batch) }
