package drivers

import (
	"testing"

	"embergate/drivers/conf"
)

// Row MB26: a deadband is a width, or a share of the value.
func TestADeadbandIsAWidthOrAShare(t *testing.T) {
	for _, c := range []struct {
		text          string
		value, around float64
		holds         bool
	}{
		{"0.5", 20.4, 20, true}, {"0.5", 20.5, 20, false}, {"0.5", 0.4, 0, true},
		{"5%", 104, 100, true}, {"5%", 105, 100, false}, {"5 %", -104, -100, true}, {"5%", 0.1, 0, false}, {"0", 20, 20, false},
	} {
		var b Band
		s := conf.Parse("f", []byte(c.text), conf.OS())
		b.DecodeConf(s)
		if s.Problems() != nil || b.Holds(c.value, c.around) != c.holds {
			t.Errorf("%s holds %g around %g: %v, want %v (%v)", c.text, c.value, c.around, !c.holds, c.holds, s.Problems())
		}
	}
	for _, text := range []string{"x", "5%%", "nan", "", "inf%"} {
		var b Band
		s := conf.Parse("f", []byte("a: \""+text+"\""), conf.OS())
		b.DecodeConf(s.At("a"))
		if s.Problems() == nil {
			t.Errorf("%q is taken for %+v", text, b)
		}
	}
}
