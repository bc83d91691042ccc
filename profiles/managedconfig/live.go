package managedconfig

// Schema is what an app reads of a managed configuration: its own published
// schema, or the table that is built in.
type Schema struct {
	App  Package
	Keys []Key
	// Live: the app's own schema, as its store tells it. False: the built-in table,
	// which holds documented keys only.
	Live bool
}

// BuiltIn is the table that stands in for an app's own schema.
func BuiltIn(app Package) Schema { return Schema{App: app, Keys: Keys(app)} }
