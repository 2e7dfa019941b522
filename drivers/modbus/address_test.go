package modbus

import "testing"

func TestAddresses(t *testing.T) {
	for at, want := range map[string]Address{
		"coil:0":            {Table: Coil},
		"discrete:65535":    {Table: Discrete, Number: 65535},
		"input:0x2000":      {Table: Input, Number: 0x2000},
		"holding:40001":     {Table: Holding, Number: 40001},
		"holding:11.0":      {Table: Holding, Number: 11, Field: true},
		"holding:11.15":     {Table: Holding, Number: 11, Field: true, Low: 15, High: 15},
		"input:0011.12-15":  {Table: Input, Number: 11, Field: true, Low: 12, High: 15},
		"holding:0x0B.3-03": {Table: Holding, Number: 11, Field: true, Low: 3, High: 3},
	} {
		if got, why, ok := ParseAddress(at); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", at, got, why, want)
		}
	}
	for _, at := range []string{
		"", ":", "holding", "holding:", "holding 1", "Holding:1", "register:1", "holding:-1", "holding:+1", "holding:65536", "holding:1e3", "holding:0b1",
		"holding:1_0", "holding:99999999999999999999", "holding:1.", "holding:1.16", "holding:1.5-3", "holding:1.-3", "holding:1.0-16", "holding:1.1-2-3", "holding:1.2.3", "coil:1.0", "discrete:1.0-3",
	} {
		if got, why, ok := ParseAddress(at); ok || why.Format == "" {
			t.Errorf("%q is accepted as %v", at, got)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, at := range []string{"coil:0", "holding:11.12-15", "input:0x10.3", "discrete:", "holding:1.-", "holding:0x"} {
		f.Add(at)
	}
	f.Fuzz(func(t *testing.T, at string) {
		a, why, ok := ParseAddress(at)
		if ok == (why.Format != "") {
			t.Fatalf("%q: accepted %v, %q", at, ok, why)
		}
		if again, _, _ := ParseAddress(a.String()); ok && again != a {
			t.Errorf("%q is %v, which reads as %v", at, a, again)
		}
	})
}
