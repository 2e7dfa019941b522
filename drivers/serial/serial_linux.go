// Package serial opens serial Lines of Linux for one process alone.
package serial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Line is how a serial Line is set.
type Line struct {
	Baud, DataBits, StopBits int
	Parity                   string // none, even, odd
	RS485                    bool   // RTS is high while sending, by the kernel
}

// Speeds are the speeds a serial Line may have, as the kernel names them.
func Speeds() map[int]uint32 {
	return map[int]uint32{
		300: unix.B300, 600: unix.B600, 1200: unix.B1200, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600,
		19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400,
		460800: unix.B460800, 921600: unix.B921600,
	}
}

// ErrHeld tells that another program has the serial Line, mostly the daemon.
var ErrHeld = errors.New("held by another program")

// Open opens a serial Line for this process alone, raw and with nothing left in its buffers. The file is non-blocking, so reads
// and writes have deadlines; a read ends with EIO or EOF when the adapter is unplugged. The error wraps ErrHeld where another
// program has the line.
func Open(path string, l Line) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		err = ErrHeld // TIOCEXCL of another
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := setRaw(fd, l); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", path, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), nil
}

func setRaw(fd int, l Line) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) // TIOCEXCL does not keep the superuser out
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrHeld
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	speed := Speeds()[l.Baud]
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CREAD | unix.CLOCAL | speed
	t.Ispeed, t.Ospeed = speed, speed
	t.Cflag |= map[int]uint32{7: unix.CS7, 8: unix.CS8}[l.DataBits]
	if l.StopBits == 2 {
		t.Cflag |= unix.CSTOPB
	}
	switch l.Parity {
	case "even":
		t.Cflag |= unix.PARENB
	case "odd":
		t.Cflag |= unix.PARENB | unix.PARODD
	}
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0 // with VMIN 0 an empty line would read as its end
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	if l.RS485 {
		if err := setDirection(fd); err != nil {
			return fmt.Errorf("direction by the kernel, rs485: true, which only some serial ports of boards need and have: %w", err)
		}
	}
	return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
}

// serialRS485 is struct serial_rs485. Source: Linux, include/uapi/linux/serial.h.
type serialRS485 struct {
	flags                   uint32 // enabled 1, RTS high while sending 2, RTS high after sending 4
	delayBefore, delayAfter uint32 // milliseconds of RTS before and after sending
	padding                 [5]uint32
}

// setDirection has the kernel raise RTS while it sends, which turns a plain RS-485 transceiver round. USB adapters do that
// by themselves.
func setDirection(fd int) error {
	config := serialRS485{flags: 1 | 2}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSRS485, uintptr(unsafe.Pointer(&config))); errno != 0 {
		return errno
	}
	return nil
}

// StableName is the link below /dev/serial/by-id that names the adapter at a path such as /dev/ttyUSB0, "" if there is
// none: the numbers of /dev/ttyUSB change when adapters are plugged in another order.
func StableName(path string) string {
	links, _ := filepath.Glob("/dev/serial/by-id/*")
	for _, link := range links {
		if target, err := filepath.EvalSymlinks(link); err == nil && target == path {
			return link
		}
	}
	return ""
}
