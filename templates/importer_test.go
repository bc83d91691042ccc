package templates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/cms"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// theirs is a profile as another product writes it.
func theirs(account map[string]any, others ...any) map[string]any {
	account["PayloadType"], account["PayloadIdentifier"], account["PayloadUUID"] = easType, "com.other.eas", "AAAAAAAA-0000-4000-8000-000000000001"
	return map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "com.other", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000000",
		"PayloadDisplayName": "Mail für 100% of Alice Archer!", "PayloadOrganization": "Other",
		"PayloadContent": append([]any{account}, others...),
	}
}

func encodeTree(t testing.TB, tree map[string]any) []byte {
	t.Helper()
	data, err := mobileconfig.EncodeTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustImport(t *testing.T, tree map[string]any, owner *directory.User) Imported {
	t.Helper()
	got, err := Import(encodeTree(t, tree), owner)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range got.Suggestions {
		if s.Needed {
			t.Fatalf("the template is refused: %+v in\n%s", s, got.Source)
		}
	}
	return got
}

func suggested(im Imported, field string) (s Suggestion) {
	for _, s = range im.Suggestions {
		if s.Field == field {
			return s
		}
	}
	return Suggestion{}
}

// TestImportEverySetting: what our own renderer writes comes back as the
// template that it was.
func TestImportEverySetting(t *testing.T) {
	no, days := false, 14
	account := profiles.ExchangeAccount{
		Name: "Company mail", HostType: profiles.OnPremises, Host: "mail.example.test", UserName: "%username%", Domain: "%domainname%", Email: "%email%", SSL: &no,
		OverridePreviousPassword: true, OAuth: profiles.OAuth{}, PreventMove: true, BlockNonMailApps: true, DisableRecentsSync: true, AllowMailDrop: true,
		AudioCallApp: "com.example.phone", DaysToKeepOffline: &days, Identity: profiles.IdentitySCEP,
		SMIME: profiles.SMIME{
			Sign:    profiles.SMIMESign{Enabled: true, UserMayChange: true, UserMayChangeIdentity: true},
			Encrypt: profiles.SMIMEEncrypt{ByDefault: true, UserMayChange: true, UserMayChangeIdentity: true, PerMessageSwitch: true},
		},
		Sync: profiles.Sync{
			Mail: profiles.Service{Locked: true}, Contacts: profiles.Service{Enabled: &no}, Calendar: profiles.Service{Enabled: &no, Locked: true},
		},
	}
	spec := Spec{Name: "mail", DisplayName: "100%% mail", Accounts: []profiles.ExchangeAccount{account}}
	u := alice()
	rendered, err := Render(Revision{TemplateID: templateID, Name: "mail", Number: 1, Spec: spec}, u, options())
	if err != nil {
		t.Fatal(err)
	}
	data, err := rendered.Profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(data, &u)
	if err != nil {
		t.Fatal(err)
	}
	want := spec
	want.Name = "100-mail"
	if diff := Diff(want, got.Spec); len(diff) > 0 {
		// A service that is locked and says nothing of on is on.
		t.Errorf("got %v in\n%s", diff, got.Source)
	}
	for _, s := range got.Suggestions {
		if s.Needed {
			t.Errorf("got %+v", s)
		}
	}
}

func TestImportVariables(t *testing.T) {
	u := alice()
	tests := []struct {
		name, user, email string
		owner             *directory.User
		wantUser, domain  string
		wantEmail         string
	}{
		{"hers", "alice@example.test", "alice.archer@example.test", &u, "%upn%", "", "%email%"},
		{"hers, in capitals", "ALICE", "Alice.Archer@Example.test", &u, "%username%", "", "%email%"},
		{"her domain", `EXAMPLE\alice`, "alice.archer@example.test", &u, "%username%", "%domainname%", "%email%"},
		{"another domain", `OTHER\alice`, "alice.archer@example.test", &u, "%username%", "OTHER", "%email%"},
		{"somebody else's", "bob", "bob@example.test", &u, "bob", "", "bob@example.test"},
		{"by form", "alice@example.test", "alice@example.test", nil, "%upn%", "", "%email%"},
		{"by form, short", `EX%\alice`, "alice@example.test", nil, "%username%", "EX%%", "%email%"},
		{"none", "", "", nil, "%upn%", "", "%email%"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			account := map[string]any{"Host": "mail.example.test", "SSL": true}
			for key, value := range map[string]string{"UserName": test.user, "EmailAddress": test.email} {
				if value != "" {
					account[key] = value
				}
			}
			got := mustImport(t, theirs(account), test.owner).Spec.Accounts[0]
			if got.UserName != test.wantUser || got.Domain != test.domain || got.Email != test.wantEmail {
				t.Errorf("got %q, %q, %q", got.UserName, got.Domain, got.Email)
			}
		})
	}
}

func TestImportNames(t *testing.T) {
	u := alice()
	got := mustImport(t, theirs(map[string]any{"Host": "m.test", "SSL": true, "PayloadDisplayName": "alice.archer@example.test (50%)"}), &u)
	if got.Spec.Name != "mail-f-r-100-of-alice-archer" || got.Spec.DisplayName != "Mail für 100%% of %displayname%!" || got.Spec.Accounts[0].Name != "%email% (50%%)" {
		t.Errorf("got %+v", got.Spec)
	}
	if !got.Spec.Assign.Nobody() || suggested(got, "assign").Text == "" {
		t.Error("somebody is assigned, or nobody says that nobody is")
	}
}

// TestImportKeepsTheRest: what we do not know comes back unchanged in every
// rendering.
func TestImportKeepsTheRest(t *testing.T) {
	wifi := map[string]any{"PayloadType": "com.apple.wifi.managed", "PayloadIdentifier": "com.other.wifi", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000002",
		"PayloadVersion": uint64(1), "SSID_STR": "Office %upn%", "AutoJoin": true, "Nested": map[string]any{"List": []any{"a", uint64(1)}}}
	tree := theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test", "VPNUUID": "AAAAAAAA-0000-4000-8000-000000000009", "HeaderMagic": "x",
		"CommunicationServiceRules": map[string]any{"DefaultServiceHandlers": map[string]any{"AudioCall": "a.b", "Other": "c.d"}}}, wifi)
	tree["ConsentText"] = map[string]any{"default": "Yes?"}
	im := mustImport(t, tree, nil)
	rendered, err := Render(Revision{TemplateID: templateID, Name: "mail", Number: 1, Spec: im.Spec}, alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	data, err := rendered.Profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := mobileconfig.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	content := profile["PayloadContent"].([]any)
	if diff := cmp.Diff(wifi, content[1].(map[string]any)); diff != "" {
		t.Errorf("the payload: %s", diff)
	}
	account := content[0].(map[string]any)
	if account["VPNUUID"] != "AAAAAAAA-0000-4000-8000-000000000009" || account["HeaderMagic"] != "x" {
		t.Errorf("the account: %v", account)
	}
	if diff := cmp.Diff(map[string]any{"DefaultServiceHandlers": map[string]any{"AudioCall": "a.b", "Other": "c.d"}}, account["CommunicationServiceRules"]); diff != "" {
		t.Errorf("the rules: %s", diff)
	}
	if diff := cmp.Diff(map[string]any{"default": "Yes?"}, profile["ConsentText"]); diff != "" {
		t.Errorf("the top level: %s", diff)
	}
}

// TestImportHoldsNoSecret: whatever is secret in a profile stays out of the
// template and of what is said about it.
func TestImportHoldsNoSecret(t *testing.T) {
	const canary = "Canary7331"
	p12 := map[string]any{"PayloadType": "com.apple.security.pkcs12", "PayloadIdentifier": "com.other.p12", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000003",
		"PayloadContent": []byte(canary), "Password": canary}
	scep := map[string]any{"PayloadType": "com.apple.security.scep", "PayloadIdentifier": "com.other.scep", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000004",
		"PayloadContent": map[string]any{"URL": "https://ca.other.test/scep", "Challenge": canary}}
	wifi := map[string]any{"PayloadType": "com.apple.wifi.managed", "PayloadIdentifier": "com.other.wifi", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000005",
		"Password": canary, "EAPClientConfiguration": map[string]any{"UserPassword": canary}}
	mdm := map[string]any{"PayloadType": "com.apple.mdm", "PayloadIdentifier": "com.other.mdm", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000006", "ServerURL": "https://" + canary}
	account := map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test", "Password": canary, "CertificatePassword": canary,
		"PayloadCertificateUUID": p12["PayloadUUID"], "SMIMESigningCertificateUUID": p12["PayloadUUID"], "SMIMESigningEnabled": true, "SMIMEEncryptionCertificateUUID": scep["PayloadUUID"]}
	im := mustImport(t, theirs(account, p12, scep, wifi, mdm), nil)
	for _, text := range append([]string{im.Source}, texts(im.Suggestions)...) {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is told: %s", text)
		}
	}
	a := im.Spec.Accounts[0]
	if a.Password != nil || a.Identity != profiles.IdentityPKCS12 || a.PKCS12 == "" || a.SMIME.Sign.PKCS12 != a.PKCS12 {
		t.Errorf("got %+v", a)
	}
	if got := suggested(im, "accounts[0].pkcs12"); !strings.Contains(got.Command, "secret set "+a.PKCS12+" ") {
		t.Errorf("got %+v", got)
	}
	if got := suggested(im, "accounts[0].smime.sign.identity"); !strings.Contains(got.Text, "identity: smime") {
		t.Errorf("got %+v, want it said that S/MIME certificates can be on record", got)
	}
	if got := suggested(im, "accounts[0].password"); !strings.Contains(got.Command, "secret set mail-password ") {
		t.Errorf("got %+v", got)
	}
	k, refused := parseKept(im.Spec.Kept)
	if refused != nil || strings.Join(k.types(), " ") != "com.apple.security.scep com.apple.wifi.managed" {
		t.Errorf("got %v, %v: the S/MIME identity by SCEP and the Wi-Fi are kept", k.types(), refused)
	}
}

func texts(suggestions []Suggestion) (list []string) {
	for _, s := range suggestions {
		list = append(list, s.Text+s.Was+s.Now+s.Command)
	}
	return list
}

func TestImportIdentities(t *testing.T) {
	scep := map[string]any{"PayloadType": "com.apple.security.scep", "PayloadIdentifier": "s", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000004", "PayloadContent": map[string]any{"URL": "https://x.test"}}
	acme := map[string]any{"PayloadType": "com.apple.security.acme", "PayloadIdentifier": "a", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000005", "DirectoryURL": "https://x.test"}
	tests := []struct {
		name, uuid string
		identity   profiles.IdentitySource
		kept       string
	}{
		{"scep", "aaaaaaaa-0000-4000-8000-000000000004", profiles.IdentitySCEP, "com.apple.security.acme"},
		{"acme", "AAAAAAAA-0000-4000-8000-000000000005", profiles.IdentityNone, "com.apple.security.acme com.apple.security.scep"},
		{"nowhere", "AAAAAAAA-0000-4000-8000-00000000000F", profiles.IdentityNone, "com.apple.security.acme com.apple.security.scep"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := mustImport(t, theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test", "PayloadCertificateUUID": test.uuid}, scep, acme), nil)
			k, _ := parseKept(im.Spec.Kept)
			if got := im.Spec.Accounts[0].Identity; got != test.identity || strings.Join(k.types(), " ") != test.kept {
				t.Errorf("got %s, kept %v", got, k.types())
			}
			if _, err := Render(Revision{TemplateID: templateID, Spec: im.Spec}, alice(), options()); err != nil {
				t.Errorf("cannot be rendered: %v", err)
			}
		})
	}
}

// TestImportReferences: a phone refuses a whole profile for one reference to a
// payload that is not in it.
func TestImportReferences(t *testing.T) {
	t.Parallel()
	const identity, root = "AAAAAAAA-0000-4000-8000-000000000006", "AAAAAAAA-0000-4000-8000-000000000007"
	p12 := map[string]any{"PayloadType": "com.apple.security.pkcs12", "PayloadIdentifier": "p", "PayloadUUID": identity, "PayloadContent": []byte("p12")}
	anchor := map[string]any{"PayloadType": "com.apple.security.root", "PayloadIdentifier": "r", "PayloadUUID": root, "PayloadContent": []byte("der")}
	wifi := map[string]any{"PayloadType": "com.apple.wifi.managed", "PayloadIdentifier": "w", "PayloadUUID": "AAAAAAAA-0000-4000-8000-000000000008",
		"PayloadCertificateUUID": strings.ToLower(identity), "EAPClientConfiguration": map[string]any{"PayloadCertificateAnchorUUID": []any{root, identity}}}
	im := mustImport(t, theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test", "PayloadCertificateUUID": identity}, p12, anchor, wifi), nil)
	if strings.Contains(strings.ToUpper(im.Source), identity) || !strings.Contains(im.Source, root) {
		t.Errorf("want the reference to what is left out gone, and the other one kept:\n%s", im.Source)
	}
	told := strings.Join(texts(im.Suggestions), "\n")
	for _, path := range []string{"com.apple.wifi.managed.PayloadCertificateUUID", "com.apple.wifi.managed.EAPClientConfiguration.PayloadCertificateAnchorUUID"} {
		if !strings.Contains(told, path+" refers to a certificate that is left out") {
			t.Errorf("%s is not told in\n%s", path, told)
		}
	}
}

// TestImportTheirVariables: profiles of other products come with our variables
// in place, where they were exported before anybody's values were in them.
func TestImportTheirVariables(t *testing.T) {
	t.Parallel()
	u := alice()
	for name, owner := range map[string]*directory.User{"nobody's": nil, "alice's": &u} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := theirs(map[string]any{"PayloadDisplayName": "100% mail of %displayname%", "Host": "m.test", "SSL": true,
				"UserName": `%domainname%\%upn%`, "EmailAddress": "%email%", "XNote": "for %username%"})
			im := mustImport(t, tree, owner)
			a := im.Spec.Accounts[0]
			if a.UserName != "%upn%" || a.Domain != "%domainname%" || a.Email != "%email%" || a.Name != "100%% mail of %displayname%" {
				t.Errorf("got %+v", a)
			}
			if got := suggested(im, "accounts[0].user_name"); !strings.Contains(got.Text, "is a variable here") {
				t.Errorf("got %+v", got)
			}
			if told := strings.Join(texts(im.Suggestions), "\n"); !strings.Contains(told, "%username% in what is kept is sent as it stands") {
				t.Errorf("got %s", told)
			}
		})
	}
}

func TestImportSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Another product"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, plain, plain, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(encodeTree(t, theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test"})), cms.Identity{Certificate: certificate, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(signed, nil)
	if err != nil || got.Signer != "CN=Another product" {
		t.Errorf("got %q, %v", got.Signer, err)
	}
	signed[len(signed)-1] ^= 1
	if _, err := Import(signed, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("forged: got %v, want ErrInvalid", err)
	}
}

func TestImportRefuses(t *testing.T) {
	encrypted := theirs(map[string]any{})
	encrypted["EncryptedPayloadContent"] = []byte("x")
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "binary": []byte("bplist00x"), "DER of nothing": {0x30, 0x80, 0, 0},
		"another property list": encodeTree(t, map[string]any{"a": "b"}),
		"encrypted":             encodeTree(t, encrypted),
		"no mail account":       encodeTree(t, map[string]any{"PayloadType": "Configuration", "PayloadContent": []any{map[string]any{"PayloadType": "com.apple.wifi.managed"}}}),
		"a payload of no type":  encodeTree(t, map[string]any{"PayloadType": "Configuration", "PayloadContent": []any{"x"}}),
		"too long":              []byte("<plist>" + strings.Repeat(" ", 2<<20)),
	} {
		if _, err := Import(data, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// TestImportSaysWhatIsNeeded: a profile that asks the user cannot become a
// template as it is; the importer says so and still gives what there is.
func TestImportSaysWhatIsNeeded(t *testing.T) {
	im, err := Import(encodeTree(t, theirs(map[string]any{"SSL": "yes", "EnableMail": "no", "MailNumberOfPastDaysToSync": 5})), nil)
	if err != nil {
		t.Fatal(err)
	}
	needed := ""
	for _, s := range im.Suggestions {
		if s.Needed {
			needed += s.Field + " "
		}
	}
	if !strings.Contains(needed, "accounts[0].host ") || im.Source == "" {
		t.Errorf("needed: %s in\n%s", needed, im.Source)
	}
}

// FuzzImport: no profile makes a panic, a template that Parse takes renders or is
// refused by field, and no secret comes through.
func FuzzImport(f *testing.F) {
	f.Add(encodeTree(f, theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test", "Password": "x"})))
	f.Add(encodeTree(f, theirs(map[string]any{"OAuth": true, "UserName": `A\%upn%`, "EnableMail": false})))
	f.Add([]byte("<plist><dict></dict></plist>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u := alice()
		im, err := Import(data, &u)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		spec, err := Parse([]byte(im.Source))
		if err != nil {
			return
		}
		r, err := Render(Revision{TemplateID: templateID, Name: spec.Name, Spec: spec}, u, options())
		if err == nil && r.Profile.Secret() {
			t.Fatal("a secret came through")
		}
	})
}
