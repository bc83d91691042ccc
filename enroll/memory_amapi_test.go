package enroll

import (
	"context"

	"sallyport/profiles/managedconfig"
)

// AndroidSchemas: no app has told of itself.
func (m *memory) AndroidSchemas(context.Context) (map[managedconfig.Package]AndroidSchema, error) {
	return nil, nil
}

func (m *memory) SaveAndroidSchema(context.Context, AndroidSchema) error { return nil }
