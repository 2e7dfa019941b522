package gateway

import (
	"fmt"
	"testing"
	"time"
)

// MQ19: an unknown device is listed with the model that would fit; the list is bounded.
func TestNoticesKeepUnclaimedDevicesByTopic(t *testing.T) {
	m := newMetrics("test").monitor("zigbee").(*monitor)
	m.Unclaimed("zigbee2mqtt/b", "")
	m.Unclaimed("zigbee2mqtt/a", "zigbee2mqtt")
	before := m.notices.unclaimedOf("zigbee")
	m.Unclaimed("zigbee2mqtt/b", "zigbee2mqtt")
	if got, want := fmt.Sprint(before), "[{zigbee2mqtt/a zigbee2mqtt} {zigbee2mqtt/b }]"; got != want {
		t.Errorf("a snapshot changed: %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(m.notices.unclaimedOf("zigbee")), "[{zigbee2mqtt/a zigbee2mqtt} {zigbee2mqtt/b zigbee2mqtt}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for i := range 2 * maxUnclaimed {
		m.Unclaimed(fmt.Sprint("x/", i), "")
	}
	if n := len(m.notices.unclaimedOf("zigbee")); n != maxUnclaimed {
		t.Errorf("%d kept", n)
	}
	if m.notices.unclaimedOf("bus-1") != nil {
		t.Error("another endpoint has them too")
	}
}

// MQ14: a certificate that ends soon is a fault until it is renewed.
func TestNoticesKeepCertificatesUntilTheyAreRenewed(t *testing.T) {
	m := newMetrics("test").monitor("zigbee").(*monitor)
	end := time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)
	m.Expiring("the broker's", end)
	m.Expiring("ours", end)
	zone := time.FixedZone("site", 8*3600)
	if err := m.notices.certificates("zigbee", zone); err == nil || err.Error() != "renew its certificates: ours until 2026-12-02, the broker's until 2026-12-02" {
		t.Error(err)
	}
	m.Expiring("ours", time.Time{})
	m.Expiring("the broker's", time.Time{})
	if err := m.notices.certificates("zigbee", zone); err != nil {
		t.Error(err)
	}
}
