package gateway

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"embergate/drivers/conf"
	"embergate/gateway/store"
)

// TestASecondGatewayOnTheSameStateDoesNotRun: it would tell everybody everything twice.
func TestASecondGatewayOnTheSameStateDoesNotRun(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Cleanup(func() { st.Close() })
		err = st.Claim() // as the first does
	}
	if err != nil {
		t.Fatal(err)
	}
	root := conf.Parse(filepath.Join(dir, "home.yaml"), []byte("site: {id: home, language: en}\ndata: "+dir+"\n"), conf.OS())
	g, err := New(root, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil || root.Problems() != nil {
		t.Fatal(err, root.Problems())
	}
	if err := g.Run(t.Context()); !errors.Is(err, store.ErrRunning) {
		t.Errorf("%v, want store.ErrRunning", err)
	}
}
