// Package deploy holds what an installation is made of: the systemd unit, the packages, and the example configuration that
// `embergate init` writes.
package deploy

import (
	"bytes"
	_ "embed"
	"path/filepath"
	"strings"
)

//go:embed embergate.yaml
var example []byte

// Example is a small working configuration with comments, for a file in dir. The state is beside the file; but below /etc,
// where a daemon does not write, it is in the folder that the unit gives it.
func Example(dir string) []byte {
	if abs, err := filepath.Abs(dir); err != nil || !strings.HasPrefix(abs, "/etc/") {
		return example
	}
	return bytes.Replace(example, []byte("data: ./data "), []byte("data: /var/lib/embergate "), 1)
}
