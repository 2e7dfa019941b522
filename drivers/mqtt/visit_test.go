package mqtt

import (
	"fmt"
	"strings"
	"testing"
)

// A person who reads values beside the daemon takes neither its session nor its identifier, and says nothing of its status.
func TestWhoOnlyReadsLeavesTheDaemonAlone(t *testing.T) {
	_, address := embedded(t)
	c := other(t, address, nil)
	heard := listen(t, c, "embergate/#")
	daemon := start(t, openWard(t, address)).up(t)
	const online = "embergate/gateway/status=online"
	eventually(t, "the daemon is there", func() bool { return strings.HasSuffix(heard(), online) })

	e, _ := endpoint("home.yaml", fmt.Sprintf(ward, address))
	e.Asked = func(string) bool { return true }
	visitor := start(t, New()(e).(*driver)).up(t)
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":true}`)
	visitor.tells(t, "smoke-201.smoke=1")
	daemon.tells(t, "smoke-201.smoke=1")
	visitor.stop()
	if err := visitor.ended(t); err != nil {
		t.Error(err)
	}
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":false}`)
	daemon.tells(t, "smoke-201.smoke=1 smoke-201.smoke=0")
	if got := heard(); strings.Trim(strings.ReplaceAll(got, online, ""), " ") != "" { // the broker may tell it twice, retained too
		t.Errorf("the status topic says %q", got)
	}
}
