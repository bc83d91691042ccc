package enroll

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
)

// leftovers count what is asked of them.
type leftovers struct {
	named, ended int
	fail         [2]error
	asked        []string
}

func (l *leftovers) NameKeys(context.Context) (int, error) {
	l.asked = append(l.asked, "keys")
	return l.named, l.fail[0]
}

func (l *leftovers) RevokeEnded(_ context.Context, now time.Time, e audit.Entry) (int, error) {
	l.asked = append(l.asked, e.Action+" "+now.Format(time.DateOnly))
	return l.ended, l.fail[1]
}

// TestMend: both are done in each step, what was done is told, and trouble is not hidden.
func TestMend(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := &leftovers{}
	m := &Mender{Store: store, Now: func() time.Time { return noon }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	step := func() error {
		store.asked = nil
		more, err := m.Step(t.Context())
		if more {
			t.Error("a step goes through all of it")
		}
		return err
	}
	if err := step(); err != nil || strings.Join(store.asked, ", ") != "keys, certificate.revoke "+noon.Format(time.DateOnly) || log.Len() != 0 {
		t.Errorf("got %v, %v, log %s", store.asked, err, log.String())
	}
	store.named, store.ended = 3, 2
	if err := step(); err != nil || !strings.Contains(log.String(), "count=3") || !strings.Contains(log.String(), "enrolments=2") {
		t.Errorf("got %v, log %s", err, log.String())
	}
	trouble := errors.New("disk full")
	for i := range store.fail {
		store.fail = [2]error{}
		store.fail[i] = trouble
		if err := step(); !errors.Is(err, trouble) {
			t.Errorf("got %v", err)
		}
	}
}
