package sim

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// room is a zone that a camera looks at. A camera looks at no room of a resident.
type room struct {
	zone, name string   // the name in letters that the camera knows
	width      float64  // of the wall at its end, as a part of the picture
	doors      bool     // in the walls at both sides
	things     []thing  // before the wall at its end
	smoke      []string // the signals by which smoke is seen; where all say so, there is a flame
}

// thing is a rectangle of a grey on the wall at the end, which reaches from -1 to 1 in both directions.
type thing struct {
	left, top, right, bottom float64
	grey                     float64
}

var rooms = []room{
	{zone: "f1-kitchen", name: "KITCHEN", width: 0.62, things: []thing{
		{-0.85, -0.75, -0.25, -0.1, 96}, {-0.83, -0.72, -0.56, -0.13, 120}, {-0.53, -0.72, -0.27, -0.13, 120}, // cupboard
		{0.1, -0.9, 0.7, -0.45, 140}, {0.3, -1, 0.5, -0.9, 128}, // hood
		{-0.9, 0.3, 0.95, 1, 105}, {-0.9, 0.26, 0.95, 0.32, 165}, // worktop
		{0.15, 0.2, 0.35, 0.26, 60}, {0.45, 0.08, 0.65, 0.26, 175}, // burner, pot
	}},
	{zone: "f2-corridor", name: "CORRIDOR 2F", width: 0.22, doors: true, things: []thing{
		{-0.55, -0.6, 0.55, 0.25, 190}, {-0.03, -0.6, 0.03, 0.25, 90}, // window
	}, smoke: []string{"smoke-corridor-east.smoke", "smoke-corridor-west.smoke"}},
	{zone: "pump-room", name: "PUMP ROOM", width: 0.5, things: []thing{
		{-0.8, -0.5, -0.2, 0.9, 150}, {-0.8, -0.1, -0.2, -0.06, 95}, // tank
		{-0.2, 0.35, 0.9, 0.42, 170}, {0.25, -1, 0.31, 0.4, 170}, {0.65, -1, 0.71, 0.4, 170}, // pipes
		{0.15, 0.42, 0.42, 0.85, 80}, {0.55, 0.42, 0.82, 0.85, 80}, // pumps
	}},
}

// cameras are the home's: at /ZONE.jpg each tells what it sees now, in the grey of night.
type cameras struct {
	*web
	drawing sync.Mutex // held while a picture is drawn: one at a time, whoever asks how often
}

// newCameras makes the cameras; burning says how many of the signals of a room see smoke.
func newCameras(address string, log *slog.Logger, burning func(room) int) (*cameras, error) {
	c := &cameras{}
	mux := http.NewServeMux()
	for _, r := range rooms {
		mux.HandleFunc("GET /"+r.zone+".jpg", func(w http.ResponseWriter, _ *http.Request) {
			c.drawing.Lock()
			still := r.still(time.Now(), burning(r))
			c.drawing.Unlock()
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Cache-Control", "no-store")
			w.Write(still)
		})
	}
	var err error
	if c.web, err = newWeb("cameras", address, log, mux); err != nil {
		return nil, err
	}
	return c, nil
}

// burning is how many of the signals by which smoke is seen in a room say so.
func (h *Home) burning(r room) (n int) {
	for _, signal := range r.smoke {
		if v, ok := h.Value(signal); ok && v != 0 {
			n++
		}
	}
	return n
}

// Camera is the address of what the camera of a zone sees now, a JPEG; "" where there is none.
func (h *Home) Camera(zone string) string {
	for _, r := range rooms {
		if r.zone == zone {
			return h.cameras.url + "/" + zone + ".jpg"
		}
	}
	return ""
}

// Size of a still, in pixels.
const stillWidth, stillHeight = 640, 360

// still is what the room looks like, smoke and all, with its name and the time of the home, which is UTC+8.
func (r room) still(now time.Time, burning int) []byte {
	grain := rand.New(rand.NewPCG(uint64(now.Unix()), 0))
	picture := image.NewGray(image.Rect(0, 0, stillWidth, stillHeight))
	for y := range stillHeight {
		for x := range stillWidth {
			u, v := 2*float64(x)/stillWidth-1, 2*float64(y)/stillHeight-1
			grey := r.grey(u/r.width, v/r.width) * (1.1 - 0.45*(u*u+v*v)) // its lamp shines ahead
			if burning > 0 {
				grey += (205 - grey) * haze(u, v)
			}
			if burning > 0 && burning == len(r.smoke) {
				grey += 255 * glow(u, v)
			}
			picture.SetGray(x, y, color.Gray{Y: uint8(min(max(grey+9*grain.NormFloat64(), 0), 255))})
		}
	}
	write(picture, 12, 12, r.name)
	write(picture, 12, stillHeight-32, now.In(time.FixedZone("", 8*60*60)).Format(time.DateTime))
	var out bytes.Buffer
	_ = jpeg.Encode(&out, picture, &jpeg.Options{Quality: 80}) // a picture of this size can be encoded
	return out.Bytes()
}

// grey is that of a room without smoke at a place, where the wall at the end reaches from -1 to 1. What lies beyond is as
// far away as it is near the middle.
func (r room) grey(u, v float64) float64 {
	away := max(math.Abs(u), math.Abs(v))
	deep := 1 / away // 1 at the wall at the end, 0 at the camera
	switch {
	case away <= 1:
		grey := 118.0
		for _, t := range r.things {
			if u >= t.left && u <= t.right && v >= t.top && v <= t.bottom {
				grey = t.grey
			}
		}
		return grey
	case away < 1.02:
		return 60 // where walls meet
	case math.Abs(v) < away: // a wall at a side
		if band := math.Mod(4*deep, 1); r.doors && band > 0.25 && band < 0.75 && v*deep > -0.45 {
			return 150 - 40*deep
		}
		return 112 - 24*deep
	case v < 0:
		return 140 - 40*deep // ceiling
	case math.Mod(6*deep, 1) < 0.06:
		return 55 // a joint of the floor
	default:
		return 88 - 20*deep
	}
}

// haze is how thick smoke stands at a place of the picture, which reaches from -1 to 1: under the ceiling, in clouds.
func haze(u, v float64) float64 {
	clouds := 0.25*math.Sin(5*u+3*v) + 0.15*math.Sin(11*u-7*v+1)
	return min(max(0.55-0.75*v+clouds, 0), 0.92)
}

// glow is how bright a flame is at a place of the picture: a drop that stands on the floor to the right of the middle.
func glow(u, v float64) float64 {
	x, y := (u-0.3)/0.09, (v-0.38)/0.3
	return math.Exp(-x*x*max(1.6-y, 0.4)-y*y) + 0.25*math.Exp(-(x*x+y*y)/12)
}

// letters are the signs that cameras write, three dots wide and five high: a row is an octal digit, the top one first.
var letters = map[rune]uint16{
	'0': 0o75557, '1': 0o26227, '2': 0o71747, '3': 0o71717, '4': 0o55711, '5': 0o74717, '6': 0o74757, '7': 0o71111, '8': 0o75757, '9': 0o75717,
	'-': 0o00700, ':': 0o02020, ' ': 0, 'C': 0o34443, 'D': 0o65556, 'E': 0o74647, 'F': 0o74644, 'H': 0o55755, 'I': 0o72227, 'K': 0o55655,
	'M': 0o57755, 'N': 0o65555, 'O': 0o25552, 'P': 0o65644, 'R': 0o65655, 'T': 0o72222, 'U': 0o55557,
}

// write writes a text in white with a dark edge, each dot four pixels wide, from a place on to the right.
func write(picture *image.Gray, x, y int, text string) {
	const dot = 4
	for pass, grey := range []uint8{20, 245} {
		edge := 1 - pass
		for i, letter := range []rune(text) {
			for row, digit := range strconv.FormatUint(uint64(letters[letter])|1<<15, 8)[1:] { // always five digits
				for column := range 3 {
					if (digit-'0')>>(2-column)&1 == 0 {
						continue
					}
					left, top := x+dot*(4*i+column), y+dot*row
					for py := top - edge; py < top+dot+edge; py++ {
						for px := left - edge; px < left+dot+edge; px++ {
							picture.SetGray(px, py, color.Gray{Y: grey})
						}
					}
				}
			}
		}
	}
}
