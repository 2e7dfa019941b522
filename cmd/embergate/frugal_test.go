package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOnlyWhatIsInAFileAsItIsInMemoryIsGivenBack(t *testing.T) {
	const smaps = `00400000-01334000 r-xp 00000000 fe:00 10209850                           /usr/bin/embergate
Size:              15568 kB
Rss:               14288 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01334000-0238d000 r--p 00f34000 fe:00 10209850                           /usr/bin/embergate
Anonymous:             4 kB
0238d000-0246f000 rw-p 01f8d000 fe:00 10209850                           /usr/bin/embergate
Anonymous:             0 kB
9e235800000-9e238c00000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f61f96e1000-7f61f96e9000 r--s 00000000 fe:00 10209851                   /var/lib/embergate/series.db-shm
Anonymous:             0 kB
7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
`
	if got, want := untouched(strings.NewReader(smaps)), []mapping{{0x400000, 0x1334000}}; !slices.Equal(got, want) {
		t.Errorf("given back: %x, want %x", got, want)
	}
}

func TestTheProcessGoesOnWithItsFileGivenBack(t *testing.T) {
	before := residentFile(t)
	giveBack()
	if after := residentFile(t); after >= before {
		t.Errorf("pages of files: %d kB, and %d kB afterwards", before, after)
	}
}

// residentFile is how many kB of files the process has in memory.
func residentFile(t *testing.T) (kB int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB
}
