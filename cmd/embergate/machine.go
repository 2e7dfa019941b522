package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"embergate/gateway"

	"golang.org/x/sys/unix"
)

// leastRoom is how much free space a gateway should have on the disk of its state.
const leastRoom = 200 << 20

// examineMachine looks at what the daemon stands on: disk, memory, clock, serial ports, and its log.
func (d *doctor) examineMachine(ctx context.Context, g *gateway.Gateway, now time.Time) {
	var b strings.Builder
	fmt.Fprintf(&b, "embergate %s, %s, %s/%s\nnow %s, clock synchronised: %v\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, now.Format(time.RFC3339), gateway.ClockSynchronised())
	if !gateway.ClockSynchronised() {
		d.find("the clock of this machine is not synchronised: timedatectl says why, and systemd-timesyncd or chrony keep it right")
	}
	for _, file := range []string{"/proc/version", "/etc/os-release", "/proc/uptime", "/proc/loadavg", "/proc/meminfo"} {
		text, err := os.ReadFile(file)
		fmt.Fprintf(&b, "\n== %s %v\n%s", file, errText(err), text)
	}
	who, groups := "?", []string{}
	if u, err := user.Current(); err == nil {
		who = u.Username
		ids, _ := u.GroupIds()
		for _, id := range ids {
			if group, err := user.LookupGroupId(id); err == nil {
				groups = append(groups, group.Name)
			}
		}
	}
	fmt.Fprintf(&b, "\nuser %s in %s\n", who, strings.Join(groups, ", "))
	d.serialPorts(&b, g)
	if g != nil {
		d.room(&b, g.Data())
	}
	d.add("machine.txt", []byte(b.String()), nil)
	d.run(ctx, "service-log.txt", "journalctl", "--unit", "embergate", "--lines", "1000", "--no-pager", "--output", "short-iso")
	d.run(ctx, "service.txt", "systemctl", "status", "embergate", "--no-pager", "--lines", "0")
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// serialPorts tells which there are, and whether those of the configuration can be used.
func (d *doctor) serialPorts(b *strings.Builder, g *gateway.Gateway) {
	fmt.Fprintln(b, "\nserial ports")
	for _, pattern := range []string{"/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyS[0-3]", "/dev/ttyAMA*", "/dev/serial/by-id/*"} {
		found, _ := filepath.Glob(pattern)
		for _, path := range found {
			target, _ := filepath.EvalSymlinks(path)
			info, err := os.Stat(path)
			if err == nil {
				fmt.Fprintf(b, "%s %s -> %s\n", info.Mode(), path, target)
			}
		}
	}
	if g == nil {
		return
	}
	for _, path := range g.SerialPorts() {
		err := unix.Access(path, unix.R_OK|unix.W_OK)
		fmt.Fprintf(b, "configured: %s %s\n", path, errText(err))
		switch {
		case errors.Is(err, unix.ENOENT):
			d.find("the serial port %s is not there: is the adapter plugged in? ls /dev/serial/by-id shows those that are", path)
		case err != nil:
			d.find("the serial port %s cannot be used by this user (%s): the daemon's user must be in the group of the port, mostly dialout", path, err)
		}
	}
}

// room tells how full the disk of the state is, and what lies there.
func (d *doctor) room(b *strings.Builder, data string) {
	var s unix.Statfs_t
	if err := unix.Statfs(data, &s); err != nil {
		fmt.Fprintf(b, "\n%s: %v\n", data, err)
		if d.answers {
			d.find("the data folder %s cannot be looked at: %s", data, err)
		}
		return
	}
	free := int64(s.Bavail) * int64(s.Bsize)
	fmt.Fprintf(b, "\n%s: %d MiB free of %d, %d of %d inodes\n", data, free>>20, int64(s.Blocks)*int64(s.Bsize)>>20, s.Ffree, s.Files)
	if free < leastRoom {
		d.find("the disk of %s has only %d MiB left: make room, or alarms cannot be kept for long", data, free>>20)
	}
	_ = filepath.WalkDir(data, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintf(b, "%s: %v\n", path, err)
			return nil
		}
		if info, err := e.Info(); err == nil && !e.IsDir() {
			fmt.Fprintf(b, "%s %9d %s %s\n", info.Mode(), info.Size(), info.ModTime().Format(time.RFC3339), path)
		}
		return nil
	})
}
