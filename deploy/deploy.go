// Package deploy holds what an installation is made of: the systemd unit, and the example configuration that `embergate
// init` writes.
package deploy

import _ "embed"

// Example is a small working configuration with comments.
//
//go:embed embergate.yaml
var Example []byte
