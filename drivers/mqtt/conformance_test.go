package mqtt

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"embergate/drivers/drivertest"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Fixture {
		_, address := embedded(t)
		proxy := drivertest.NewProxy(t, address)
		devices := other(t, address, nil)
		var valve atomic.Int64
		token := devices.Subscribe("zigbee2mqtt/valve/set", 1, func(c paho.Client, m paho.Message) {
			if strings.Contains(string(m.Payload()), "ON") {
				valve.Store(1)
			} else {
				valve.Store(0)
			}
			go c.Publish("zigbee2mqtt/valve", 1, false, m.Payload()) // the device reports what it was told
		})
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatal(token.Error())
		}
		smoke := func(payload string) { publish(t, devices, "zigbee2mqtt/smoke-201", false, payload) }
		return drivertest.Fixture{
			Driver:   openWard(t, proxy.Address()),
			Endpoint: "zigbee",
			Break:    proxy.Break,
			Mend:     proxy.Mend,
			Signal:   "smoke-201.smoke",
			Set:      func(value float64) { smoke(fmt.Sprintf(`{"smoke":%v}`, value == 1)) },
			Damage:   func() { smoke(`{"smoke":"perhaps"}`) },
			Repair:   func() { smoke(`{"smoke":false}`) },
			Pushes:   true,
			Output:   "valve.valve",
			Written:  func() float64 { return float64(valve.Load()) },
		}
	})
}
