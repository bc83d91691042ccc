package android

import (
	"context"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/profiles/managedconfig"
)

// maxProperties bounds an app's schema, and maxNesting how deep it is followed:
// Google nests two levels.
const (
	maxProperties = 2000
	maxNesting    = 4
)

// Schema is the live schema of an app's managed configuration.
func (c *Client) Schema(ctx context.Context, enterprise, app string) (managedconfig.Schema, error) {
	// In English: where a key's name is not published, it is found by its title.
	answer, err := c.api.Enterprises.Applications.Get(enterprise + "/applications/" + app).LanguageCode("en").Context(ctx).Do()
	if err != nil {
		return managedconfig.Schema{}, problem(err)
	}
	return managedconfig.Schema{App: managedconfig.Package(app), Keys: keysOf(answer.ManagedProperties, maxNesting), Live: true}, nil
}

func keysOf(properties []*androidmanagement.ManagedProperty, deep int) []managedconfig.Key {
	if deep == 0 {
		return nil
	}
	var keys []managedconfig.Key
	for _, p := range properties {
		if p == nil || p.Key == "" || len(keys) >= maxProperties {
			continue
		}
		k := managedconfig.Key{
			Name: p.Key, Type: managedconfig.Type(p.Type), Default: p.DefaultValue, Title: clean(p.Title, maxWord),
			Confidence: managedconfig.Published, Nested: keysOf(p.NestedProperties, deep-1),
		}
		for _, e := range p.Entries {
			if e != nil {
				k.Entries, k.Labels = append(k.Entries, e.Value), append(k.Labels, clean(e.Name, maxWord))
			}
		}
		keys = append(keys, k)
	}
	return keys
}
