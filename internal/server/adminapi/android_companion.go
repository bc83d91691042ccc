package adminapi

import (
	"net/http"

	"sallyport/internal/server/wire"
)

// CompanionInput names the companion app.
type CompanionInput struct {
	Package string `json:"package"`
}

// GetCompanion answers GET /api/v1/android/companion.
func (a *API) GetCompanion(w http.ResponseWriter, r *http.Request) error {
	c, err := a.d.Android.Companion(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, c)
}

// SetCompanion answers PUT /api/v1/android/companion. Every phone is told by and by.
func (a *API) SetCompanion(w http.ResponseWriter, r *http.Request) error {
	var in CompanionInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	c, err := a.d.Android.SetCompanion(r.Context(), in.Package)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, c)
}

// RemoveCompanion answers DELETE /api/v1/android/companion.
func (a *API) RemoveCompanion(w http.ResponseWriter, r *http.Request) error {
	if err := a.d.Android.RemoveCompanion(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
