package adminapi

import (
	"fmt"
	"net/http"
	"time"

	"sallyport/internal/server/wire"
)

// longTime is how long a backup, and what walks through the whole directory,
// may take; everything else is cut off sooner.
const longTime = time.Hour

// extend gives an answer that much time.
func extend(w http.ResponseWriter) {
	// A response writer without deadlines is a test's: nothing would cut it off.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longTime))
}

// StreamBackup answers GET /api/v1/backup. When the copy fails half-way the
// connection is cut, so that nobody takes the torn file for a whole one.
func (a *API) StreamBackup(w http.ResponseWriter, r *http.Request) error {
	extend(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="sallyport-`+a.d.Now().UTC().Format("20060102T150405Z")+`.backup"`)
	body := &started{ResponseWriter: w}
	err := a.d.Backup.Backup(r.Context(), body)
	if err != nil && body.began {
		return fmt.Errorf("%w: %w", wire.ErrTorn, err)
	}
	if err != nil {
		w.Header().Del("Content-Disposition")
	}
	return err
}

// started remembers whether any byte of the body has left.
type started struct {
	http.ResponseWriter
	began bool
}

func (s *started) Write(p []byte) (int, error) {
	s.began = true
	return s.ResponseWriter.Write(p)
}
