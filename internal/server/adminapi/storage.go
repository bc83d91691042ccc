package adminapi

import (
	"context"
	"net/http"

	"sallyport/internal/server/wire"
)

// StorageService tries whether the server can keep what it is told.
type StorageService interface {
	// TryStorage writes to the data directory and to the database, and takes it back.
	TryStorage(ctx context.Context) Storage
}

// Storage answers GET /api/v1/storage.
type Storage struct {
	Writable bool   `json:"writable"`
	Problem  string `json:"problem,omitempty"` // of what is not
	Next     string `json:"next,omitempty"`    // what to do about it
}

// TryStorage answers GET /api/v1/storage: 200 also where nothing can be written.
func (a *API) TryStorage(w http.ResponseWriter, r *http.Request) error {
	return wire.WriteJSON(w, http.StatusOK, a.d.Storage.TryStorage(r.Context()))
}
