package adminapi

import (
	"net/http"

	"sallyport/enroll/directory"
	"sallyport/internal/server/wire"
)

// ListUsers answers GET /api/v1/users.
func (a *API) ListUsers(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "group", "after", "limit")
	if err != nil {
		return err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return err
	}
	users, err := a.d.Users.List(r.Context(), values["group"], page)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Users{
		Users: wire.List(users),
		Next:  wire.Next(users, page.Limit, func(u directory.User) string { return u.UPN }),
	})
}

// SaveUser answers POST /api/v1/users.
func (a *API) SaveUser(w http.ResponseWriter, r *http.Request) error {
	var in UserInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	stored, err := a.d.Users.Save(r.Context(), []directory.User{{
		UPN: in.UPN, Email: in.Email, Username: in.Username, DomainName: in.DomainName,
		DisplayName: in.DisplayName, FirstName: in.FirstName, MiddleName: in.MiddleName, LastName: in.LastName,
		Groups: in.Groups, SharedMailbox: in.SharedMailbox,
	}})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, stored[0])
}

// ImportUsers answers POST /api/v1/users/import.
func (a *API) ImportUsers(w http.ResponseWriter, r *http.Request) error {
	if err := wire.MediaType(r, "text/csv"); err != nil {
		return err
	}
	added, updated, err := a.d.Users.Import(r.Context(), r.Body)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, ImportResult{Added: added, Updated: updated})
}

// GetUser answers GET /api/v1/users/{upn}.
func (a *API) GetUser(w http.ResponseWriter, r *http.Request) error {
	upn := r.PathValue("upn")
	user, err := a.d.Users.Get(r.Context(), upn)
	if err != nil {
		return missingUser(err, "upn", upn)
	}
	return wire.WriteJSON(w, http.StatusOK, user)
}

// RemoveUser answers DELETE /api/v1/users/{upn}.
func (a *API) RemoveUser(w http.ResponseWriter, r *http.Request) error {
	upn := r.PathValue("upn")
	if err := a.d.Users.Remove(r.Context(), upn); err != nil {
		return missingUser(err, "upn", upn)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
