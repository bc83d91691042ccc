package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/logkey"
	"sallyport/profiles/managedconfig"
	"sallyport/templates"
)

const (
	// schemasFresh is how long what was read of schemas counts: another server may
	// have fetched newer ones.
	schemasFresh = 10 * time.Second
	schemaAge    = 24 * time.Hour // when Google is asked anew
)

// readSchemas is what was read of the store.
type readSchemas struct {
	at     time.Time
	byName map[managedconfig.Package]AndroidSchema
}

// androidSchemas are what apps say of their configurations. An app that is not
// among them is written by the built-in table.
func (s *Service) androidSchemas(ctx context.Context) (map[managedconfig.Package]AndroidSchema, error) {
	now := s.now()
	if known := s.schemas.Load(); known != nil {
		if age := now.Sub(known.at); age >= 0 && age < schemasFresh {
			return known.byName, nil
		}
	}
	byName, err := s.AppSchemas.AndroidSchemas(ctx)
	if err != nil {
		return nil, fmt.Errorf("read schemas of mail apps: %w", err)
	}
	s.schemas.Store(&readSchemas{now, byName})
	return byName, nil
}

// schemaFinding says which apps are written by the built-in tables.
func schemaFinding(known map[managedconfig.Package]AndroidSchema) AndroidFinding {
	var without []string
	for _, app := range managedconfig.Apps() {
		if _, ok := known[app.Package()]; !ok {
			without = append(without, string(app))
		}
	}
	f := AndroidFinding{Name: "schemas", OK: len(without) == 0, Text: "every mail app has told which settings it reads"}
	if !f.OK {
		f.Text = "not known from the app itself: which settings are read by " + strings.Join(without, ", ") + "; built-in tables stand in for gmail and outlook, and samsung and nine are not set up"
		f.Next = "Google is asked again every hour; an app has to be approved in managed Google Play"
	}
	return f
}

// schemaAges is when each app told which settings it reads.
func (a *Androids) schemaAges(ctx context.Context) (map[managedconfig.App]time.Time, error) {
	known, err := a.Service.androidSchemas(ctx)
	if err != nil {
		return nil, err
	}
	ages := map[managedconfig.App]time.Time{}
	for _, app := range managedconfig.Apps() {
		if s, ok := known[app.Package()]; ok {
			ages[app] = s.FetchedAt
		}
	}
	return ages, nil
}

// FetchSchemas is a step for internal/work: it asks Google what mail apps read of a
// configuration, once a day each.
func (a *Androids) FetchSchemas(ctx context.Context) (more bool, err error) {
	e, api, err := a.enterprise(ctx)
	if errors.Is(err, ErrNoAndroid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	known, err := a.Service.AppSchemas.AndroidSchemas(ctx)
	if err != nil {
		return false, fmt.Errorf("read schemas of mail apps: %w", err)
	}
	names, err := a.schemasWanted(ctx)
	if err != nil {
		return false, err
	}
	changed := false
	for _, name := range names {
		if now := a.now(); now.Sub(known[name].FetchedAt).Abs() < schemaAge {
			continue
		}
		schema, err := api.Schema(ctx, e.Name, string(name))
		if err != nil {
			a.log().WarnContext(ctx, "schema of a mail app was not fetched", "package", name, logkey.Error, err)
			continue
		}
		if len(schema.Keys) == 0 { // Google knows the app and not what it reads
			continue
		}
		if err := a.Service.AppSchemas.SaveAndroidSchema(ctx, AndroidSchema{Schema: schema, FetchedAt: a.now()}); err != nil {
			return false, fmt.Errorf("save schema of %s: %w", name, err)
		}
		changed = true
	}
	if !changed {
		return false, nil
	}
	a.Service.schemas.Store(nil)
	return false, a.request(ctx, nil)
}

// schemasWanted are the apps that are asked for: those for mail, and Samsung's plugin
// where it fetches certificates.
func (a *Androids) schemasWanted(ctx context.Context) ([]managedconfig.Package, error) {
	var names []managedconfig.Package
	for _, app := range managedconfig.Apps() {
		names = append(names, app.Package())
	}
	c, err := a.Companions.AndroidCompanion(ctx)
	switch {
	case err == nil && c.Package == string(managedconfig.KnoxPackage):
		names = append(names, managedconfig.KnoxPackage)
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("look up companion app: %w", err)
	}
	return names, nil
}

var _ templates.Apps = (*Androids)(nil)

// AppInputs implements templates.Apps.
func (a *Androids) AppInputs(ctx context.Context, app managedconfig.Package, template string) (managedconfig.Inputs, error) {
	all, err := a.Service.androidSchemas(ctx)
	if err != nil {
		return managedconfig.Inputs{}, err
	}
	var in managedconfig.Inputs
	if known, ok := all[app]; ok {
		in.Schema = &known.Schema
	}
	_, err = a.Companions.AndroidCompanion(ctx)
	switch {
	case err == nil:
		in.Alias = keyAlias(template)
	case !errors.Is(err, ErrNotFound):
		return managedconfig.Inputs{}, fmt.Errorf("look up companion app: %w", err)
	}
	return in, nil
}
