package drivers

import (
	"fmt"
	"testing"

	"embergate/drivers/conf"
)

func TestDevicesThatWriteTheSameSignalsShareThem(t *testing.T) {
	const device = "{id: d%d, signals: [{id: t, kind: temperature, scale: %s}, {id: r, kind: number}]}"
	e := Endpoint{Alike: new(Alike)}
	var of []*Signal
	for i, scale := range []string{"0.1", "0.2", "0.1"} {
		s := conf.Parse("home.yaml", fmt.Appendf(nil, device, i, scale), conf.OS())
		d, _ := e.Device(s, "modbus", &struct{}{})
		if s.Problems() != nil || len(d.Signals) != 2 {
			t.Fatal(s.Problems(), d.Signals)
		}
		of = append(of, &d.Signals[0])
	}
	if of[0] != of[2] || of[0] == of[1] || of[1].Scale != 0.2 {
		t.Errorf("signals of three devices, the first and the last alike: %p %p %p", of[0], of[1], of[2])
	}
}
