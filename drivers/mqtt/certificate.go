package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"time"

	"embergate/drivers/mqttconn"
)

// A certificate is told renewWithin before it ends (row MQ14), at every connect and then daily.
const (
	renewWithin = 30 * 24 * time.Hour
	tellDaily   = 24 * time.Hour
)

// ends is when the certificates of a connection end, by what they are called. It is filled while the connection is made,
// and read after.
type ends map[string]time.Time

// watch adds our own certificate and our authority's, and the broker's when it is shown.
func (e ends) watch(t *tls.Config, c mqttconn.TLS, authorities []byte) {
	for _, own := range t.Certificates {
		if own.Leaf != nil {
			e[string(c.Cert)] = own.Leaf.NotAfter
		}
	}
	for block, rest := pem.Decode(authorities); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // of another kind; the pool did not take it either
		}
		if known, ok := e[string(c.CA)]; !ok || cert.NotAfter.Before(known) {
			e[string(c.CA)] = cert.NotAfter
		}
	}
	t.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) > 0 {
			e["the broker's certificate"] = state.PeerCertificates[0].NotAfter
		}
		return nil
	}
}

// tellEnds tells which certificates end soon, and that the others do not.
func (d *driver) tellEnds(e ends, now time.Time) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		until := e[name]
		if until.Sub(now) > renewWithin {
			until = time.Time{}
		} else {
			d.log.Warn("certificate ends soon", "certificate", name, "until", until)
		}
		d.monitor.Expiring(name, until)
	}
}
