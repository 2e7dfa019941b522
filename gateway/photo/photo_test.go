package photo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
)

func picture() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range 40 * 30 {
		m.Set(i%40, i/40, color.RGBA{uint8(i), uint8(i / 3), 90, 255})
	}
	return m
}

func encoded(t testing.TB, kind string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := jpeg.Encode(&b, picture(), nil)
	if kind == PNG {
		b.Reset()
		err = png.Encode(&b, picture())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// segment is one of a JPEG.
func segment(marker byte, content string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(2+len(content))), content...)
}

// after puts segments behind the start of a JPEG.
func after(picture []byte, segments ...[]byte) []byte {
	return slices.Concat(picture[:2], slices.Concat(segments...), picture[2:])
}

// exifBlock is what a telephone writes: how it was held, and where (GPS, and in a text).
func exifBlock(order binary.AppendByteOrder, mark string, turn uint16) string {
	b := []byte(mark)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, e := range []struct {
		tag   uint16
		value uint16
	}{{0x0112, turn}, {0x8825, 38}} {
		b = order.AppendUint16(b, e.tag)
		b = order.AppendUint16(b, 3)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, e.value)
		b = append(b, 0, 0)
	}
	return exif + string(b) + "\x00\x00\x00\x00GPS 36.8N 118.3E"
}

func chunk(name, content string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	b = append(append(b, name...), content...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// TestAPictureLosesWhatItSaysBesideItsPixels (AL16): the place above all; the pixels stay, and so does how it is turned.
func TestAPictureLosesWhatItSaysBesideItsPixels(t *testing.T) {
	plain, drawn := encoded(t, JPEG), encoded(t, PNG)
	for name, test := range map[string]struct {
		data []byte
		kind string
		turn uint16
	}{
		"a JPEG as it is":                        {plain, JPEG, 0},
		"place and owner of a telephone":         {after(plain, segment(app1, exifBlock(binary.LittleEndian, "II*\x00", 6))), JPEG, 6},
		"the same in the other order":            {after(plain, segment(app1, exifBlock(binary.BigEndian, "MM\x00*", 8))), JPEG, 8},
		"upright needs no word":                  {after(plain, segment(app1, exifBlock(binary.BigEndian, "MM\x00*", 1))), JPEG, 0},
		"XMP, IPTC, comments":                    {after(plain, segment(app1, "http://ns.adobe.com/xap/1.0/\x00GPS"), segment(0xED, "Photoshop 3.0\x00GPS"), segment(com, "GPS")), JPEG, 0},
		"a second picture behind the end":        {append(slices.Clone(plain), "GPS"...), JPEG, 0},
		"an EXIF block that is cut off":          {after(plain, segment(app1, exif+"II*\x00\xff\xff\xff\xffGPS")), JPEG, 0},
		"a PNG as it is":                         {drawn, PNG, 0},
		"texts and EXIF of a PNG, and its trail": {slices.Concat(drawn[:33], chunk("tEXt", "Comment\x00GPS"), chunk("eXIf", "II*\x00GPS"), drawn[33:], []byte("GPS")), PNG, 0},
	} {
		t.Run(name, func(t *testing.T) {
			clean, kind, err := Clean(test.data)
			if err != nil || kind != test.kind {
				t.Fatalf("%s, %v", kind, err)
			}
			if bytes.Contains(clean, []byte("GPS")) {
				t.Error("it still says where it was taken")
			}
			want, _, _ := image.Decode(bytes.NewReader(test.data))
			got, _, err := image.Decode(bytes.NewReader(clean))
			if err != nil {
				t.Fatal(err)
			}
			for i := range 40 * 30 {
				if got.At(i%40, i/40) != want.At(i%40, i/40) {
					t.Fatal("a pixel has changed")
				}
			}
			var turn uint16
			if len(clean) > 6 && clean[3] == app1 {
				turn = orientation(clean[6 : 4+int(binary.BigEndian.Uint16(clean[4:]))])
			}
			if turn != test.turn {
				t.Errorf("turned %d, want %d", turn, test.turn)
			}
			again, _, err := Clean(clean)
			if err != nil || !bytes.Equal(again, clean) {
				t.Errorf("cleaned again it differs: %v", err)
			}
		})
	}
}

// TestWhatIsNoPictureIsRefused (AL16): nothing is kept that a browser could take for something else.
func TestWhatIsNoPictureIsRefused(t *testing.T) {
	plain, drawn := encoded(t, JPEG), encoded(t, PNG)
	huge := slices.Concat(drawn[:16], []byte{0, 1, 0, 0, 0, 1, 0, 0}, drawn[24:33])
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	huge = append(huge, drawn[33:]...)
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":                 {nil, ErrKind},
		"a page":                  {[]byte("<html><script>alert(1)</script>"), ErrKind},
		"a GIF":                   {[]byte("GIF89a"), ErrKind},
		"half a JPEG":             {plain[:len(plain)/2], ErrBroken},
		"a JPEG without pixels":   {[]byte{0xFF, soi, 0xFF, eoi}, ErrBroken},
		"half a PNG":              {drawn[:len(drawn)/2], ErrBroken},
		"a PNG without pixels":    {slices.Concat(drawn[:33], chunk("IEND", "")), ErrBroken},
		"a scan for every second": {slices.Concat(plain[:len(plain)-2], bytes.Repeat(segment(sos, "\x01\x01\x00\x00\x3f\x00"), 3600), plain[len(plain)-2:]), ErrBroken},
		"a PNG with a long chunk": {append(slices.Clone(drawn[:33]), "\xff\xff\xff\xffIDATxxxx"...), ErrBroken},
		"65,536 × 65,536":         {huge, ErrLarge},
		"three megabytes":         {append([]byte{0xFF, soi}, strings.Repeat("x", 3<<20)...), ErrLarge},
	} {
		if _, _, err := Clean(test.data); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	plain, drawn := encoded(f, JPEG), encoded(f, PNG)
	f.Add(plain)
	f.Add(drawn)
	f.Add(after(plain, segment(app1, exifBlock(binary.LittleEndian, "II*\x00", 6)), segment(com, "x")))
	f.Add(drawn[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		clean, _, err := Clean(data)
		if err != nil {
			return
		}
		if len(clean) > len(data)+64 {
			t.Errorf("%d bytes became %d", len(data), len(clean))
		}
		if again, _, err := Clean(clean); err != nil || !bytes.Equal(again, clean) {
			t.Errorf("cleaned again it differs: %v", err)
		}
	})
}
