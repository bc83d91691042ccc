package server

import (
	"context"

	"sallyport/internal/server/adminapi"
)

// storageFake has a full disk.
type storageFake struct{}

func (storageFake) TryStorage(context.Context) adminapi.Storage {
	return adminapi.Storage{Problem: "no room is left", Next: "make room"}
}
