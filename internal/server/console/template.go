package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
	"sallyport/profiles"
	"sallyport/templates"
)

const (
	maxUPN    = 320
	maxSystem = 20
)

func previewPath(name string) string {
	return Path + "/templates/" + url.PathEscape(name) + "/preview"
}

// TemplateList answers GET /console/templates.
func (c *Console) TemplateList(w http.ResponseWriter, r *http.Request) error {
	list, err := c.d.Templates.List(r.Context())
	if err != nil {
		return err
	}
	var view web.ConsoleTemplates
	for _, t := range list {
		view.Templates = append(view.Templates, web.ConsoleTemplate{
			Name: t.Name, Title: t.Spec.DisplayName, Assigned: assigned(t.Spec.Assign), By: t.CreatedBy, Revision: t.Number, At: t.CreatedAt, Address: previewPath(t.Name),
		})
	}
	body, err := c.d.Pages.ConsoleTemplates(language(r), c.frame(r, "templates"), view)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, body)
}

// assigned is an audience in a line; the words everyone and nobody are the machine's.
func assigned(a directory.Audience) string {
	switch {
	case a.Everyone:
		return "everyone"
	case a.Nobody():
		return "nobody"
	}
	return strings.Join(slices.Concat(a.Groups, a.Users), ", ")
}

// Preview answers GET /console/templates/{name}/preview: without a user the form,
// with one what that user would get.
func (c *Console) Preview(w http.ResponseWriter, r *http.Request) error {
	q, err := previewOf(r)
	if err != nil {
		return err
	}
	if _, err := c.d.Templates.Get(r.Context(), q.Name); err != nil {
		if errors.Is(err, templates.ErrNotFound) {
			return fmt.Errorf("no such template: %w", problem.ErrNotFound)
		}
		return err
	}
	view := web.ConsolePreview{Template: q.Name, Action: previewPath(q.Name), User: q.UPN, System: q.OSVersion, Platform: string(q.Platform)}
	status := http.StatusOK
	if q.UPN == "" {
		for _, p := range templates.Platforms() {
			view.Platforms = append(view.Platforms, web.ConsolePlatform{Name: string(p)})
		}
	} else if status, err = c.render(r, q, &view); err != nil {
		return err
	}
	body, err := c.d.Pages.ConsolePreview(language(r), c.frame(r, "templates"), view)
	if err != nil {
		return err
	}
	return write(w, status, body)
}

// render shows the template on the platform that was asked for, and counts what
// becomes of its settings on each. What is wrong with the template or the user is
// told on the page.
func (c *Console) render(r *http.Request, q templates.PreviewRequest, view *web.ConsolePreview) (status int, err error) {
	status = http.StatusOK
	for _, p := range templates.Platforms() {
		one := q
		one.Platform = p
		platform := web.ConsolePlatform{Name: string(p)}
		if p != q.Platform {
			platform.Address = previewPath(q.Name) + "?" + url.Values{"user": {q.UPN}, "platform": {string(p)}, "os": {q.OSVersion}}.Encode()
		}
		preview, err := c.d.Viewer.Preview(r.Context(), one)
		switch {
		case err == nil:
			platform.Counted = true
			platform.Applied, platform.Degraded, platform.Unsupported = counted(preview.Fidelity)
			if p == q.Platform {
				shown(view, preview)
			}
		case p == q.Platform:
			told := problem.Of(missing(err))
			if told.Status >= http.StatusInternalServerError || len(told.Errors) == 0 {
				return 0, err
			}
			status, view.Faults = told.Status, faultsOf(told.Errors)
		case problem.Of(err).Status >= http.StatusInternalServerError:
			return 0, err
		}
		view.Platforms = append(view.Platforms, platform)
	}
	return status, nil
}

// missing puts into words that the user is not on record.
func missing(err error) error {
	if errors.Is(err, directory.ErrNotFound) && len(refusal.All(err)) == 0 {
		return refusal.New(directory.ErrNotFound, "user", "nobody on record has this UPN", "see: sallyport user list")
	}
	return err
}

func counted(accounts []templates.AccountFidelity) (applied, degraded, unsupported int) {
	for _, account := range accounts {
		for _, f := range account.Report {
			switch f.Status {
			case profiles.Applied:
				applied++
			case profiles.Degraded:
				degraded++
			case profiles.Unsupported:
				unsupported++
			}
		}
	}
	return applied, degraded, unsupported
}

// shown fills in the preview. Its Body, which is what is sent, stays out: Tree says
// the same, for people.
func shown(view *web.ConsolePreview, p templates.Preview) {
	view.Shown, view.Revision, view.Owner, view.Tree, view.Redacted = true, p.Revision, p.User, p.Tree, p.Redacted
	view.Warnings = faultsOf(p.Warnings)
	for _, account := range p.Fidelity {
		one := web.ConsoleFidelity{Account: account.Account, System: account.OSVersion}
		for _, f := range account.Report {
			one.Settings = append(one.Settings, web.ConsoleSetting{Field: f.Field, Status: string(f.Status), Why: f.Why, Substitute: f.Substitute})
		}
		view.Accounts = append(view.Accounts, one)
	}
}

func previewOf(r *http.Request) (templates.PreviewRequest, error) {
	values, err := wire.Query(r, "user", "platform", "os")
	if err != nil {
		return templates.PreviewRequest{}, err
	}
	q := templates.PreviewRequest{
		Name: r.PathValue("name"), UPN: strings.TrimSpace(values["user"]), Platform: templates.Platform(values["platform"]), OSVersion: strings.TrimSpace(values["os"]),
	}
	if q.Platform == "" {
		q.Platform = templates.PlatformApple
	}
	var faults refusal.List
	if len(q.UPN) > maxUPN {
		faults = append(faults, refusal.New(problem.ErrMalformed, "user", "is too long for a UPN", "give the user's own"))
	}
	if !slices.Contains(templates.Platforms(), q.Platform) {
		faults = append(faults, refusal.New(problem.ErrMalformed, "platform", "no such platform", "use apple, gmail, outlook, outlook-ios, samsung or nine"))
	}
	if len(q.OSVersion) > maxSystem {
		faults = append(faults, refusal.New(problem.ErrMalformed, "os", "is too long for a version", "for example 18.1"))
	}
	return q, faults.OrNil()
}
