package adminapi

import (
	"net/http"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// profileTypes are the types under which a configuration profile comes.
var profileTypes = [...]string{"application/x-apple-aspen-config", "application/octet-stream"}

// PreviewTemplate answers POST /api/v1/templates/preview.
func (a *API) PreviewTemplate(w http.ResponseWriter, r *http.Request) error {
	var in PreviewRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if (in.Name == "") == (in.Source == "") {
		return refusal.New(problem.ErrMalformed, "name", "and source: exactly one of the two is needed", "name an applied template, or send the YAML of one")
	}
	if in.User == "" {
		return refusal.New(problem.ErrMalformed, "user", "is missing", "give a UPN")
	}
	preview, err := a.d.Viewer.Preview(r.Context(), templates.PreviewRequest{
		Name: in.Name, Source: []byte(in.Source), UPN: in.User, Platform: templates.Platform(in.Platform), OSVersion: in.OS,
	})
	if err != nil {
		return missingUser(missingTemplate(err, in.Name), "user", in.User)
	}
	return wire.WriteJSON(w, http.StatusOK, preview)
}

// CheckTemplates answers POST /api/v1/templates/check with one page of users.
func (a *API) CheckTemplates(w http.ResponseWriter, r *http.Request) error {
	var in CheckRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Limit < 0 || in.Limit > 1000 {
		return refusal.New(problem.ErrMalformed, "limit", "is not a number from 1 to 1000", "leave it away for 100")
	}
	if in.Name != "" && in.Source != "" {
		return refusal.New(problem.ErrMalformed, "source", "is given beside a name", "give one of the two")
	}
	extend(w)
	report, err := a.d.Viewer.Check(r.Context(), templates.CheckRequest{
		Name: in.Name, Source: []byte(in.Source), Page: directory.Page{After: in.After, Limit: in.Limit},
	})
	if err != nil {
		return missingTemplate(err, in.Name)
	}
	return wire.WriteJSON(w, http.StatusOK, report)
}

// ImportTemplate answers POST /api/v1/templates/import: a proposal, nothing is
// saved. The parameter user names whose values become variables.
func (a *API) ImportTemplate(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user")
	if err != nil {
		return err
	}
	data, err := wire.ReadText(r, profileTypes[:]...)
	if err != nil {
		return err
	}
	var owner *directory.User
	if upn := values["user"]; upn != "" {
		u, err := a.d.Users.Get(r.Context(), upn)
		if err != nil {
			return missingUser(err, "user", upn)
		}
		owner = &u
	}
	imported, err := templates.Import(data, owner)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, imported)
}
