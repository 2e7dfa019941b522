package sim

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// looked is what a camera sees; it must be a JPEG.
func looked(t *testing.T, address string) image.Image {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", address, answer.Status, err)
	}
	picture, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// bright is the mean of a part of a picture, 0 to 255.
func bright(picture image.Image, part image.Rectangle) float64 {
	sum := 0.0
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			r, _, _, _ := picture.At(x, y).RGBA()
			sum += float64(r >> 8)
		}
	}
	return sum / float64(part.Dx()*part.Dy())
}

func TestACameraSeesSmokeWhereOneDetectorDoesAndAFlameWhereAllDo(t *testing.T) {
	h := start(t, Options{})
	ceiling, floor := image.Rect(250, 40, 390, 80), image.Rect(405, 240, 425, 255)
	see := func() (smoke, flame float64) {
		picture := looked(t, h.Camera("f2-corridor"))
		return bright(picture, ceiling), bright(picture, floor)
	}
	smoke, flame := see()
	if smoke > 150 || flame > 150 {
		t.Errorf("at rest the ceiling is %.0f and the floor %.0f", smoke, flame)
	}
	h.Set("smoke-corridor-east.smoke", 1)
	if now, f := see(); now < smoke+30 || f > 200 {
		t.Errorf("with smoke the ceiling is %.0f, was %.0f; the floor is %.0f", now, smoke, f)
	}
	h.Set("smoke-corridor-west.smoke", 1)
	if _, now := see(); now < 245 {
		t.Errorf("with a fire its place is %.0f, was %.0f", now, flame)
	}
	h.Set("smoke-corridor-east.smoke", 0)
	h.Set("smoke-corridor-west.smoke", 0)
	if now, f := see(); now > 150 || f > 150 {
		t.Errorf("when the smoke has cleared the ceiling is %.0f and the floor %.0f", now, f)
	}
	if at := h.Camera("f2-201"); at != "" {
		t.Errorf("a camera looks at the room of a resident: %s", at)
	}
}

func TestAStillTellsRoomAndTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 30, 0, 0, time.UTC)
	dots := func(data []byte, part image.Rectangle) (text string) {
		picture, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for y := part.Min.Y; y < part.Max.Y; y += 4 {
			for x := part.Min.X; x < part.Max.X; x += 4 {
				if bright(picture, image.Rect(x+1, y+1, x+3, y+3)) > 215 {
					text += "#"
				} else {
					text += "."
				}
			}
			text += "\n"
		}
		return text
	}
	for _, r := range rooms {
		for _, letter := range r.name {
			if _, ok := letters[letter]; !ok {
				t.Errorf("the camera of the %s cannot write %q", r.name, letter)
			}
		}
	}
	still := rooms[0].still(now, 0)
	if len(still) > 100<<10 {
		t.Errorf("a still has %d bytes", len(still))
	}
	for _, at := range []struct {
		what string
		part image.Rectangle
		want string
	}{
		{"room", image.Rect(12, 12, 12+4*11, 32), "#.#.###.###\n#.#..#...#.\n##...#...#.\n"},
		{"02:30 of the next day", image.Rect(12+4*4*8, 328, 12+4*4*8+4*11, 348), "###.###....\n..#...#....\n###.###....\n#...#......\n"},
	} {
		if got := dots(still, at.part); !strings.HasPrefix(got, at.want) {
			t.Errorf("%s:\n%s", at.what, got)
		}
	}
}
