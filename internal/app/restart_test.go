package app_test

import (
	"path/filepath"
	"testing"

	"sallyport/internal/app"
	"sallyport/internal/config"
)

// restartable is a scene whose server can end, and begin anew on the same data.
type restartable struct {
	*scene
	cfg  config.Config
	stop func()
}

func newRestartable(t *testing.T, before func(*app.App), set func(*config.Config)) *restartable {
	t.Helper()
	s := &restartable{cfg: testConfig(filepath.Join(t.TempDir(), "data"), freeAddress(t))}
	set(&s.cfg)
	st := &stage{clock: &clock{}, before: before}
	st.app, s.stop = st.run(t, s.cfg)
	t.Cleanup(func() { s.stop() })
	st.client = newClient(t, s.cfg.Data)
	st.organise()
	s.scene = newScene(t, st, alice)
	return s
}

// restart ends the server in order, and starts another.
func (s *restartable) restart() {
	s.Helper()
	s.stop()
	s.stop = func() {}
	s.stage.app, s.stop = s.stage.run(s.T, s.cfg)
	s.app, s.local = s.stage.app, newClient(s.T, s.cfg.Data).local
}
