package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// frugal makes the process small: what a daemon holds it holds for months, so that collecting earlier costs little and
// saves almost half of the memory. It comes before the configuration is read, or what that leaves behind lies scattered.
// GOGC overrides it. Nobody reads a profile of memory, so none is kept.
func frugal() {
	runtime.MemProfileRate = 0
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
}

// started is how long a start takes at the most: every device has been read.
const started = 20 * time.Second

// giveBack returns to the system what only starting took: free memory, and the pages of the program's file that were used
// once. Those that are needed again come back from the page cache.
func giveBack() {
	debug.FreeOSMemory()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // it stays larger
	}
	defer smaps.Close()
	for _, m := range untouched(smaps) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.first, m.end-m.first, unix.MADV_DONTNEED)
	}
}

// mapping is a piece of the address space.
type mapping struct{ first, end uintptr }

// untouched are the mappings of files that the process only reads and has no page of its own in (relocations, a debugger's
// breakpoints), so that each page is in the file as it is in memory. Source: proc_pid_smaps(5).
func untouched(smaps io.Reader) (list []mapping) {
	var m mapping
	var file bool
	for in := bufio.NewScanner(smaps); in.Scan(); {
		var first, end uintptr
		var mode string
		if n, _ := fmt.Sscanf(in.Text(), "%x-%x %s", &first, &end, &mode); n == 3 {
			m, file = mapping{first, end}, mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p' && strings.Contains(in.Text(), " /")
			continue
		}
		if key, size, _ := strings.Cut(in.Text(), ":"); file && key == "Anonymous" && strings.TrimSpace(size) == "0 kB" {
			list = append(list, m)
		}
	}
	return list
}
