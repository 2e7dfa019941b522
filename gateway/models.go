package gateway

import (
	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/profiles"
)

// models are the device models: those inside the binary, and the files that the configuration names under profiles, which
// take the place of a built-in one with the same id (row DM02). The mistakes of a file are told at its own lines.
func (g *Gateway) models(files []conf.Section) (drivers.Profiles, error) {
	all, err := profiles.Load()
	if err != nil {
		return nil, err // a broken file inside the binary
	}
	own := map[string]bool{}
	for _, file := range files {
		root := file.Include()
		if !root.Exists() {
			continue
		}
		m := profiles.Parse(root)
		if own[m.ID] {
			root.At("id").Problem("the device model %q is there twice", m.ID)
		}
		own[m.ID] = true
		if _, builtIn := all[m.ID]; builtIn {
			g.Log.Info("built-in device model replaced", "profile", m.ID, "file", file.Value())
		}
		all[m.ID] = m.Profile
	}
	return all, nil
}
