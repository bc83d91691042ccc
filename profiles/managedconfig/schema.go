package managedconfig

import "slices"

// Package names an app on its platform.
type Package string

const (
	GmailPackage    Package = "com.google.android.gm"
	OutlookPackage  Package = "com.microsoft.office.outlook" // Android
	OutlookBundleID Package = "com.microsoft.Office.Outlook" // iOS
	SamsungPackage  Package = "com.samsung.android.email.provider"
	NinePackage     Package = "com.ninefolders.hd3.work"
)

// Platform is the system that an app runs on.
type Platform string

const (
	Android Platform = "android"
	IOS     Platform = "ios"
)

// Type is the type of a key's value, as Android's app restrictions name it.
type Type string

const (
	String      Type = "STRING"
	Bool        Type = "BOOL"
	Integer     Type = "INTEGER"
	Choice      Type = "CHOICE"
	MultiSelect Type = "MULTISELECT"
	Hidden      Type = "HIDDEN"
	BundleType  Type = "BUNDLE"
	BundleArray Type = "BUNDLE_ARRAY"
)

// Confidence says how sure a key's name is.
type Confidence string

// Documented is a name that the vendor or a device manager publishes. Keys that
// are known by their label only, or from one observation, are in no table.
const Documented Confidence = "documented"

// Published is a name that the app's own schema has told.
const Published Confidence = "published"

// Where the keys are published.
const (
	sourceGoogle    = "google-help-7065453"                      // Google, Android Enterprise Help, "Use Gmail to support Exchange ActiveSync"
	sourceIvanti    = "ivanti-neurons-managed-config"            // Ivanti, "Managed Configurations for Android"
	sourceKaspersky = "kaspersky-242220"                         // Kaspersky, article 242220
	sourceTinyMDM   = "tinymdm-gmail"                            // TinyMDM, "Preconfigure Exchange account on Gmail"
	sourceObserved  = "gmail-observed-behaviour"                 // behaviour of Gmail builds of 2017 to 2019
	sourceOnline    = "officedocs-exchange-exo-intune"           // Microsoft, "Deploying Outlook for iOS and Android app configuration settings", July 2021
	sourceOnPrem    = "officedocs-exchange-onprem-account-setup" // Microsoft, "Account setup in Outlook for iOS and Android" for Exchange Server
	sourceNine      = "9folders-15362"                           // 9Folders, Nine Work for managed configurations
	sourceFixture   = "tf-microsoft365-fixture"                  // a test's sample of an Intune payload for Android
)

// Key is one key of an app's schema, as far as it reaches an app through a
// device manager.
type Key struct {
	Name       string
	Type       Type
	Entries    []any // the values that the app knows; nil: any of the type
	Default    any   // what the app takes without the key; nil: nothing, or unknown
	Required   bool
	BasicOnly  bool       // Outlook: read where AccountType is BasicAuth
	Platforms  []Platform // nil: wherever the app runs
	Confidence Confidence
	Source     []string
	Title      string   // what the app calls it; live schemas only
	Labels     []string // what it calls each of Entries; live schemas only
	Nested     []Key    // keys of a bundle, or of each bundle of an array
}

// Keys returns the table of an app, none for an app without one. An app on a
// device publishes its own schema, which may be newer than this table.
func Keys(app Package) []Key {
	switch app {
	case GmailPackage:
		return gmailKeys()
	case OutlookPackage:
		return on(Android, outlookKeys())
	case OutlookBundleID:
		return on(IOS, outlookKeys())
	case NinePackage:
		return nineKeys()
	}
	return nil
}

func on(p Platform, keys []Key) []Key {
	return slices.DeleteFunc(keys, func(k Key) bool { return k.Platforms != nil && !slices.Contains(k.Platforms, p) })
}

func stringKey(name string, source ...string) Key {
	return Key{Name: name, Type: String, Confidence: Documented, Source: source}
}

func boolKey(name string, byDefault bool, source ...string) Key {
	return Key{Name: name, Type: Bool, Default: byDefault, Confidence: Documented, Source: source}
}

func (k Key) required() Key {
	k.Required = true
	return k
}

func (k Key) basicOnly() Key {
	k.BasicOnly = true
	return k
}

func (k Key) only(p Platform) Key {
	k.Platforms = []Platform{p}
	return k
}

func (k Key) entries(values ...any) Key {
	k.Entries = values
	return k
}

func (k Key) defaults(value any) Key {
	k.Default = value
	return k
}
