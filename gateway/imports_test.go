package gateway_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestImportsFollowTheLayout asserts the import order of the folders, cmd → gateway → rules → drivers, and inside it the
// edges that would tie things together which must be able to fail apart.
func TestImportsFollowTheLayout(t *testing.T) {
	forbidden := []struct{ from, to, reason string }{
		{"embergate/drivers", "embergate/rules", "a driver reads; it decides nothing"},
		{"embergate/drivers", "embergate/gateway", "a driver knows nobody who uses it"},
		{"embergate/rules", "embergate/gateway", "conditions have no I/O and no alarms"},
		{"embergate/rules", "embergate/drivers/modbus", "a condition does not know a signal's protocol"},
		{"embergate/rules", "embergate/drivers/mqtt", "a condition does not know a signal's protocol"},
		{"embergate/rules", "embergate/drivers/sim", "a condition does not know a signal's protocol"},
		{"embergate/rules", "net", "conditions have no I/O"},
		{"embergate/gateway", "embergate/cmd", "the verbs are on top"},
		{"embergate/gateway", "embergate/drivers/modbus", "protocols come to the gateway through the table in cmd"},
		{"embergate/gateway", "embergate/drivers/mqtt", "protocols come to the gateway through the table in cmd"},
		{"embergate/gateway", "embergate/drivers/printer", "protocols come to the gateway through the table in cmd"},
		{"embergate/gateway", "embergate/drivers/sim", "the simulated home is for demo and tests"},
		{"embergate/drivers/modbus", "embergate/drivers/mqtt", "one protocol does not lean on another"},
		{"embergate/drivers/mqtt", "embergate/drivers/modbus", "one protocol does not lean on another"},
		{"embergate/drivers/sim", "embergate/drivers/modbus", "the simulator must not share the mistakes of what it tests"},
		{"embergate/drivers/sim", "embergate/drivers/mqtt", "the simulator must not share the mistakes of what it tests"},
		{"embergate/gateway/alarm", "embergate/gateway/store", "the alarm machine is pure"},
		{"embergate/gateway/alarm", "log/slog", "the alarm machine is pure"},
		{"embergate/gateway/alarm", "net", "the alarm machine is pure"},
		{"embergate/gateway/store", "embergate/gateway/notify", "storing knows nobody who sends"},
		{"embergate/gateway/notify", "embergate/gateway/uplink", "reaching people must not hang on platforms"},
		{"embergate/gateway/uplink", "embergate/gateway/notify", "platforms must not hang on reaching people"},
		{"embergate/gateway/console", "embergate/gateway/store", "the console sees the gateway only through Source"},
		{"embergate/gateway/console", "embergate/gateway/uplink", "the console sees the gateway only through Source"},
		{"embergate/gateway/console", "embergate/gateway/notify", "the console sees the gateway only through Source"},
		{"embergate/gateway/duty", "embergate/gateway/notify", "who is told does not hang on how"},
		{"embergate/gateway/duty", "embergate/gateway/store", "the duty machine is pure, as the alarms are"},
		{"embergate/gateway/duty", "net", "the duty machine is pure, as the alarms are"},
	}
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, f := range forbidden {
				// A package may import its own kind.
				if within(p.ImportPath, f.from) && within(imported, f.to) && !within(p.ImportPath, f.to) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, f.reason)
				}
			}
		}
	}
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages", len(all))
	}
	return all
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
