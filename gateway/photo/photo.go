// Package photo takes out of a picture what is nobody's business: where it was taken, by which telephone, with which
// preview. It changes no pixel: only the parts that draw the picture are kept, byte for byte.
package photo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // what image.DecodeConfig knows
	_ "image/png"
)

// Bounds of a picture.
const (
	MostBytes  = 2 << 20
	mostPixels = 50_000_000 // what a viewer must be able to hold
	mostScans  = 100        // of a JPEG; a viewer goes through all pixels for each, and a progressive picture has about ten
)

// The kinds of pictures that are taken.
const (
	JPEG = "image/jpeg"
	PNG  = "image/png"
)

// Why a picture was refused.
var (
	ErrKind   = errors.New("neither a JPEG nor a PNG")
	ErrBroken = errors.New("not a whole picture")
	ErrLarge  = errors.New("too large")
)

// Clean answers the picture without what it says beside its pixels, and its kind. Kept of an EXIF block is how the picture
// is to be turned. The error wraps ErrKind, ErrBroken or ErrLarge.
func Clean(data []byte) (clean []byte, kind string, err error) {
	if len(data) > MostBytes {
		return nil, "", fmt.Errorf("%w: %d bytes", ErrLarge, len(data))
	}
	switch {
	case bytes.HasPrefix(data, []byte{0xFF, 0xD8}):
		kind = JPEG
		clean, err = cleanJPEG(data)
	case bytes.HasPrefix(data, signature):
		kind = PNG
		clean, err = cleanPNG(data)
	default:
		return nil, "", ErrKind
	}
	if err != nil {
		return nil, "", err
	}
	size, _, err := image.DecodeConfig(bytes.NewReader(clean))
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrBroken, err)
	}
	if size.Width < 1 || size.Height < 1 || size.Width > mostPixels/size.Height {
		return nil, "", fmt.Errorf("%w: %d × %d", ErrLarge, size.Width, size.Height)
	}
	return clean, kind, nil
}

// Markers of JPEG (ITU-T T.81, table B.1).
const (
	rst0, rst7 = 0xD0, 0xD7
	soi, eoi   = 0xD8, 0xD9
	sos        = 0xDA
	app0, app1 = 0xE0, 0xE1
	app2       = 0xE2
	app14      = 0xEE
	app15      = 0xEF
	com        = 0xFE
	tem        = 0x01
)

// cleanJPEG keeps the segments that draw the picture, up to its end. A segment is 0xFF, a marker, a length of two bytes
// that counts itself, and its content; after SOS come the compressed pixels up to the next marker (T.81, B.1.1).
func cleanJPEG(data []byte) ([]byte, error) {
	out := append(make([]byte, 0, len(data)), 0xFF, soi)
	turned, scans := uint16(0), 0
	for rest := data[2:]; ; {
		for len(rest) > 2 && rest[0] == 0xFF && rest[1] == 0xFF { // fill bytes
			rest = rest[1:]
		}
		if len(rest) < 2 || rest[0] != 0xFF {
			return nil, fmt.Errorf("%w: no marker where one must be", ErrBroken)
		}
		marker := rest[1]
		switch {
		case marker == eoi:
			if scans == 0 {
				return nil, fmt.Errorf("%w: no pixels", ErrBroken)
			}
			return append(withTurn(out, turned), 0xFF, eoi), nil // what comes behind is not of the picture
		case marker == tem || marker >= rst0 && marker <= rst7:
			rest = rest[2:]
			continue
		case marker == 0 || marker == soi || marker < 0xC0:
			return nil, fmt.Errorf("%w: marker %#x", ErrBroken, marker)
		}
		if len(rest) < 4 {
			return nil, fmt.Errorf("%w: ends in a segment", ErrBroken)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest[2:]))
		if n < 4 || n > len(rest) {
			return nil, fmt.Errorf("%w: ends in a segment", ErrBroken)
		}
		content := rest[4:n]
		if marker == app1 && turned == 0 {
			turned = orientation(content)
		}
		if draws(marker, content) {
			out = append(out, rest[:n]...)
		}
		rest = rest[n:]
		if marker == sos {
			if scans++; scans > mostScans {
				return nil, fmt.Errorf("%w: more than %d scans", ErrBroken, mostScans)
			}
			n := pixels(rest)
			out, rest = append(out, rest[:n]...), rest[n:]
		}
	}
}

// draws tells whether a segment is needed to show the picture as it is: of those that applications add, the size of a
// pixel, the colours, and Adobe's mark of how colours are mixed.
func draws(marker byte, content []byte) bool {
	switch {
	case marker == app0:
		return bytes.HasPrefix(content, []byte("JFIF\x00")) && len(content) == 14 // a longer one has a preview
	case marker == app2:
		return bytes.HasPrefix(content, []byte("ICC_PROFILE\x00"))
	case marker == app14:
		return bytes.HasPrefix(content, []byte("Adobe"))
	}
	return marker != com && (marker < app0 || marker > app15)
}

// pixels is the length of compressed pixels: up to a marker that is none of the restarts between them.
func pixels(b []byte) int {
	for i := 0; i+1 < len(b); i++ {
		if b[i] == 0xFF && b[i+1] != 0 && b[i+1] != 0xFF && (b[i+1] < rst0 || b[i+1] > rst7) {
			return i
		}
	}
	return len(b)
}

const exif = "Exif\x00\x00"

// orientation is how an EXIF block says that the picture is to be turned, 1 to 8; 0 where it does not say (Exif 2.3, 4.6.4,
// tag 0x0112, a SHORT of IFD 0).
func orientation(content []byte) uint16 {
	tiff, ok := bytes.CutPrefix(content, []byte(exif))
	if !ok || len(tiff) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if bytes.HasPrefix(tiff, []byte("II*\x00")) {
		order = binary.LittleEndian
	} else if !bytes.HasPrefix(tiff, []byte("MM\x00*")) {
		return 0
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 0
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 0
		}
		if order.Uint16(entries) == 0x0112 && order.Uint16(entries[2:]) == 3 && order.Uint32(entries[4:]) == 1 {
			if turn := order.Uint16(entries[8:]); turn >= 1 && turn <= 8 {
				return turn
			}
			return 0
		}
		entries = entries[12:]
	}
	return 0
}

// withTurn is the picture with an EXIF block that says how it is turned, and nothing else.
func withTurn(picture []byte, turn uint16) []byte {
	if turn <= 1 {
		return picture
	}
	block := []byte(exif + "MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	block = binary.BigEndian.AppendUint16(block, turn)
	block = append(block, 0, 0, 0, 0, 0, 0)
	out := binary.BigEndian.AppendUint16([]byte{0xFF, soi, 0xFF, app1}, uint16(2+len(block)))
	return append(append(out, block...), picture[2:]...)
}

var signature = []byte("\x89PNG\r\n\x1a\n")

// kept are the chunks of a PNG that draw it (PNG, third edition, 11.2 and 11.3); among the others are its EXIF, texts, time.
var kept = map[string]bool{"IHDR": true, "PLTE": true, "IDAT": true, "IEND": true, "tRNS": true, "gAMA": true, "cHRM": true, "sRGB": true, "iCCP": true, "pHYs": true, "sBIT": true}

// cleanPNG keeps the chunks that draw the picture, up to its end. A chunk is its length, its name, its content, its CRC.
func cleanPNG(data []byte) ([]byte, error) {
	out, drawn := append(make([]byte, 0, len(data)), signature...), false
	for rest := data[len(signature):]; ; {
		if len(rest) < 12 {
			return nil, fmt.Errorf("%w: ends in a chunk", ErrBroken)
		}
		n := uint64(binary.BigEndian.Uint32(rest)) + 12
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: ends in a chunk", ErrBroken)
		}
		name := string(rest[4:8])
		if kept[name] {
			out = append(out, rest[:n]...)
		}
		drawn = drawn || name == "IDAT" && n > 12
		if name == "IEND" {
			if !drawn {
				return nil, fmt.Errorf("%w: no pixels", ErrBroken)
			}
			return out, nil
		}
		rest = rest[n:]
	}
}
