package accessapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/access"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// Feed hands out what was published. *access.Feed is one.
type Feed interface {
	After(ctx context.Context, after int64, limit int) ([]access.Change, error)
	Newest(ctx context.Context, after access.DeviceID, limit int) ([]access.Change, int64, error)
	// Grown returns a channel that closes with the next row, and Over one that closes
	// when the server ends.
	Grown() <-chan struct{}
	Over() <-chan struct{}
	Current(within time.Duration) bool
}

// Changes answers GET /api/v1/compliance. More says that there is another page
// now; without it, ask again with the cursor later.
type Changes struct {
	Changes []access.Change `json:"changes"`
	Cursor  string          `json:"cursor"`
	More    bool            `json:"more"`
}

// cursor is a place in the feed: in the snapshot that comes first, as long as
// device is not empty, and among the rows after seq later.
type cursor struct {
	seq    int64
	device access.DeviceID
}

func (c cursor) String() string {
	if c.device != "" {
		return "s" + strconv.FormatInt(c.seq, 10) + "." + string(c.device)
	}
	return "c" + strconv.FormatInt(c.seq, 10)
}

// cursorOf reads what String has written, and nothing else.
func cursorOf(text string) (cursor, error) {
	var c cursor
	rest, isRow := strings.CutPrefix(text, "c")
	if !isRow {
		var device string
		var found bool
		rest, device, found = strings.Cut(strings.TrimPrefix(text, "s"), ".")
		c.device = access.DeviceID(device)
		if id, err := uuid.Parse(device); !found || err != nil || id.String() != device {
			return cursor{}, badCursor("cursor")
		}
	}
	var err error
	if c.seq, err = strconv.ParseInt(rest, 10, 64); err != nil || c.seq < 0 || c.String() != text {
		return cursor{}, badCursor("cursor")
	}
	return c, nil
}

func badCursor(field string) error {
	return refusal.New(problem.ErrMalformed, field, "is none that this server gave", "send the cursor of the answer before, or none to begin anew")
}

// gone says what to do about a cursor that is too old.
func gone(err error) error {
	if errors.Is(err, access.ErrGone) {
		return refusal.New(access.ErrGone, "cursor", "is older than what is kept",
			"ask without a cursor: you get the newest word on every device and a new cursor; forget what you knew")
	}
	return err
}

// ListChanges answers GET /api/v1/compliance: at first the newest word on each
// device, then what is new.
func (a *API) ListChanges(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := wire.Limit(values["limit"])
	if err != nil {
		return err
	}
	var out Changes
	if text := values["cursor"]; text == "" {
		out, err = a.snapshot(r.Context(), cursor{seq: -1}, limit)
	} else {
		out, err = a.follow(r.Context(), text, limit)
	}
	if err != nil {
		return gone(err)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func (a *API) follow(ctx context.Context, text string, limit int) (Changes, error) {
	at, err := cursorOf(text)
	if err != nil {
		return Changes{}, err
	}
	if at.device != "" {
		return a.snapshot(ctx, at, limit)
	}
	rows, err := a.d.Feed.After(ctx, at.seq, limit)
	if err != nil {
		return Changes{}, err
	}
	if len(rows) > 0 {
		at.seq = rows[len(rows)-1].Seq
	}
	return Changes{Changes: wire.List(rows), Cursor: at.String(), More: len(rows) == limit}, nil
}

// snapshot is a page of what is said of all devices. Where the feed goes on was
// noted with the first page: what changes between two pages comes again there.
func (a *API) snapshot(ctx context.Context, at cursor, limit int) (Changes, error) {
	rows, newest, err := a.d.Feed.Newest(ctx, at.device, limit)
	if err != nil {
		return Changes{}, err
	}
	if at.seq < 0 {
		at.seq = newest
	}
	at.device = ""
	more := len(rows) == limit
	if more {
		at.device = rows[len(rows)-1].DeviceID
	}
	return Changes{Changes: wire.List(present(rows)), Cursor: at.String(), More: more}, nil
}

// present leaves out devices that are gone: who begins anew never knew them.
func present(rows []access.Change) []access.Change {
	return slices.DeleteFunc(rows, func(c access.Change) bool { return c.Removed })
}
