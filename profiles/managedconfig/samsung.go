package managedconfig

import (
	"maps"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// samsungAccounts is what Samsung Email calls its list of accounts, and the rest
// what it calls the parts of one: its published schema shows labels alone.
// https://docs.samsungknox.com/dev/managed-configurations/assets/email-schema.html
const (
	samsungAccounts = "Exchange ActiveSync accounts list"
	samsungEmail    = "Email address"
	samsungUser     = "User name"
	samsungDomain   = "EAS domain"
	samsungHost     = "Exchange server name"
	samsungSSL      = "Use SSL"
	samsungAlias    = "CBA certificate alias"
	samsungName     = "Account name"
	samsungPeriod   = "Period to sync emails"
)

// samsung writes an account for Samsung Email. The names of its keys come from
// its own schema, by the labels that are published: without the schema, bundle
// is nil and the report says what would be read there.
func samsung(a profiles.ExchangeAccount, in Inputs) (b Bundle, report profiles.Report, alias bool, err error) {
	if err := checkAccount(a); err != nil {
		return nil, nil, false, err
	}
	if !in.live() {
		return nil, apply(a, samsungRules(nil, in), Bundle{}), false, nil
	}
	list, known := labelled(in.Schema.Keys, samsungAccounts)
	if !known || list.Type != BundleArray {
		return nil, nil, false, notCalled(SamsungPackage, samsungAccounts)
	}
	keys := list.element()
	for _, label := range []string{samsungEmail, samsungUser, samsungHost} {
		if _, known := (labels{keys: keys}).find(label, String); !known {
			return nil, nil, false, notCalled(SamsungPackage, label)
		}
	}
	one := Bundle{}
	report = apply(a, samsungRules(keys, in), one)
	b = Bundle{list.Name: []Bundle{one}}
	if err := in.Schema.Validate(b); err != nil {
		return nil, nil, false, err
	}
	k, _ := labelled(keys, samsungAlias)
	return b, report, one[k.Name] != nil && k.Name != "", nil
}

func notCalled(app Package, label string) error {
	return refusal.New(ErrSchema, label, "is nothing that the version of "+string(app)+" in the store calls so", "the user sets up the account by hand; tell us the app's version")
}

func samsungRules(keys []Key, in Inputs) map[string]rule {
	type account = profiles.ExchangeAccount
	const app = "Samsung Email"
	l := labels{keys: keys, app: app}
	rules := map[string]rule{
		"name":                 l.text(samsungName, func(a account) string { return a.Name }),
		"host_type":            derivedHostType(app),
		"host":                 l.text(samsungHost, func(a account) string { return a.Host }),
		"user_name":            l.text(samsungUser, func(a account) string { return a.UserName }),
		"domain":               l.text(samsungDomain, func(a account) string { return a.Domain }),
		"email":                l.text(samsungEmail, func(a account) string { return a.Email }),
		"ssl":                  l.flag(samsungSSL, func(a account) bool { return a.UsesSSL() }),
		"identity":             l.identity(samsungAlias, in.Alias),
		"days_to_keep_offline": l.days(samsungPeriod),
		"sync.mail":            alwaysMail(app),
	}
	l.unnamed(rules)
	maps.Copy(rules, appleOnly(Android))
	maps.Copy(rules, noSecrets(app))
	return rules
}
