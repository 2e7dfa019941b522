package gateway

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"

	"embergate/drivers"
	"embergate/gateway/console"

	"golang.org/x/sys/unix"
)

// wellness is what the console and the metrics show of the machine and costs more than a look: it is measured anew after a while only.
type wellness struct {
	at         time.Time
	free, size int64 // bytes of the disk; 0 where they are not known
	memory     int64
}

// wellnessFor is how long a measurement holds.
const wellnessFor = 10 * time.Second

// wellness is how the gateway itself fares, for the console.
func (h *hub) wellness(now time.Time) console.Health {
	w := h.page.wellness.measured(now, string(h.g.cfg.Data))
	health := console.Health{ClockOK: h.gate.clock.ok(), Memory: w.memory, DiskFree: w.free, DiskSize: w.size, Chain: h.lastProof()}
	for _, n := range h.store.Written() {
		health.Written += n
	}
	return health
}

// measured is it as it was measured last, or anew.
func (w *wellness) measured(now time.Time, dir string) wellness {
	if age := now.Sub(w.at); age >= wellnessFor || age < 0 {
		*w = wellness{at: now, memory: resident()}
		var disk unix.Statfs_t
		if unix.Statfs(dir, &disk) == nil { // where it cannot be asked, nothing is shown of it
			w.free, w.size = int64(disk.Bavail)*int64(disk.Bsize), int64(disk.Blocks)*int64(disk.Bsize)
		}
	}
	return *w
}

// resident is how much memory this process holds, in bytes; 0 where that is not known (proc(5), /proc/self/statm).
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(data)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// lastProof is when the whole way to people was last tried.
func (h *hub) lastProof() *console.Chain {
	channels := len(h.g.channels.IDs())
	return h.g.proof.last(h.exercise.proof(channels), channels)
}

// proof is what the last drill showed of the whole chain, nil where there was none.
func (x *exercise) proof(channels int) *console.Chain {
	if len(x.past) == 0 {
		return nil
	}
	c := console.Chain{At: x.past[0].Since, Of: channels, Drill: true}
	told := map[string]bool{}
	for _, s := range x.past[0].Steps {
		if s.Event == "delivered" && !told[s.Name] {
			told[s.Name], c.Took = true, max(c.Took, s.After)
		}
	}
	c.Told = len(told)
	return &c
}

// failures are how often a device gave no reading, by the reason, since the start.
type failures struct {
	counts []console.ErrorCount
	at     time.Time // of the batch that was counted last
}

// count counts each reason once for all signals of one batch.
func (f *failures) count(r drivers.Reading) {
	i := slices.IndexFunc(f.counts, func(c console.ErrorCount) bool { return c.Reason == r.Reason })
	switch {
	case i < 0:
		f.counts = append(slices.Clone(f.counts), console.ErrorCount{Reason: r.Reason, Count: 1}) // snapshots share the old ones
	case !f.at.Equal(r.Time):
		f.counts = slices.Clone(f.counts)
		f.counts[i].Count++
	}
	f.at = r.Time
}
