package sim

import (
	"math/rand/v2"
	"strings"
)

// Where the kitchen detector's own alarms are, in %LEL, and the bits of its status word.
const (
	gasLow, gasHigh               = 10, 25
	gasFault, lowAlarm, highAlarm = 1, 2, 4
)

// step lets one second pass.
func (h *Home) step() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.values["kitchen-gas.valve"].value != 0 {
		h.values["kitchen-gas.lel"].target = 0 // nothing flows, what is there disperses
	}
	for key, q := range h.values {
		switch {
		case strings.HasSuffix(key, ".battery"):
			q.value = max(q.value-q.swing, 0)
		case q.swing > 0:
			q.value += 0.15*(q.target-q.value) + 0.3*q.swing*(2*rand.Float64()-1)
		}
	}
	lel := h.values["kitchen-gas.lel"]
	lel.value = max(lel.value, 0)
	h.followLocked()
	total := h.values["main-meter.power"].value
	h.values["main-meter.energy"].value += total / 3600
}

// followLocked sets what follows from other values: the meter's power from voltage and current, the gas detector's status.
func (h *Home) followLocked() {
	total := 0.0
	for _, phase := range []string{"l1", "l2", "l3"} {
		at := func(name string) *quantity { return h.values["main-meter."+name+phase] }
		at("power_").value = at("voltage_").value * at("current_").value * h.values["main-meter.power_factor"].value / 1000
		total += at("power_").value
	}
	h.values["main-meter.power"].value = total

	status := int(h.values["kitchen-gas.status"].value) & gasFault
	lel := h.values["kitchen-gas.lel"].value
	if lel >= gasLow {
		status |= lowAlarm
	}
	if lel >= gasHigh {
		status |= highAlarm
	}
	h.values["kitchen-gas.status"].value = float64(status)
}
