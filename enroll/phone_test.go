package enroll

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"howett.net/plist"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/cms"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

const topic = "com.apple.mgmt.External.placeholder"

// authority is a root that certifies phones and the profile signer in tests.
type authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{root, key}
}

func (a authority) issue(t testing.TB, name string, key crypto.Signer, usage x509.ExtKeyUsage, notAfter time.Time) cms.Identity {
	t.Helper()
	return a.issueAt(t, name, key, usage, noon.Add(-time.Hour), notAfter)
}

func (a authority) issueAt(t testing.TB, name string, key crypto.Signer, usage x509.ExtKeyUsage, notBefore, notAfter time.Time) cms.Identity {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, a.root, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cms.Identity{Certificate: cert, Key: key}
}

func (a authority) trust() cms.Trust {
	roots := x509.NewCertPool()
	roots.AddCert(a.root)
	return cms.Trust{Roots: roots}
}

// house is the service under test with everything around it.
type house struct {
	*memory
	authority
	enroll *Service
	apple  *apple.Service
	alice  directory.User
	bob    directory.User

	clockMu sync.Mutex
	clock   time.Time
}

// now moves on by a second each time it is asked, so that no two moments are equal.
func (h *house) now() time.Time {
	h.clockMu.Lock()
	defer h.clockMu.Unlock()
	h.clock = h.clock.Add(time.Second)
	return h.clock
}

func (h *house) sleep(d time.Duration) {
	h.clockMu.Lock()
	defer h.clockMu.Unlock()
	h.clock = h.clock.Add(d)
}

func mailTemplate(email string) templates.Revision {
	return templates.Revision{
		TemplateID: "01993b1e-0000-7000-8000-000000000001", Name: "mail", Number: 1,
		Spec: templates.Spec{Name: "mail", DisplayName: "Mail", Assign: directory.Audience{Everyone: true}, Accounts: []profiles.ExchangeAccount{{
			Name: "Mail", HostType: profiles.OnPremises, Host: "mail.example.test", UserName: "%upn%", Email: email, Identity: profiles.IdentitySCEP,
		}}},
	}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{memory: newMemory(), authority: newAuthority(t), clock: noon}
	h.alice = directory.User{ID: "01993b1e-0000-7000-8000-00000000000a", UPN: "alice@example.test", Email: "alice@example.test", Username: "alice", DisplayName: "Alice", Groups: []string{"sales"}}
	h.bob = directory.User{ID: "01993b1e-0000-7000-8000-00000000000b", UPN: "bob@example.test", Email: "bob@example.test", Username: "bob", DisplayName: "Bob"}
	h.users[h.alice.ID], h.users[h.bob.ID] = h.alice, h.bob
	h.revisions = []templates.Revision{mailTemplate("%email%")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := h.issue(t, "Profile signer", key, x509.ExtKeyUsageEmailProtection, noon.AddDate(1, 0, 0))
	h.enroll = &Service{
		Invitations: h.memory, Enrollments: h.memory, Plans: h.memory, Facts: h.memory, Devices: h.memory, Users: h.memory,
		Certificates: h.memory, Templates: h.memory, Secrets: h.memory, Security: h.memory, Audit: h.memory,
		Acts: h.memory, History: h.memory, Holds: h.memory, Pushes: h.memory, Wakes: h.memory, Hands: h.memory, Renewals: h.memory, Mailboxes: h.memory, AppSchemas: h.memory,
		Root:   h.root,
		Signer: func() cms.Identity { return signer },
		MAC: func(purpose string, data []byte) []byte {
			mac := hmac.New(sha256.New, []byte(purpose))
			mac.Write(data)
			return mac.Sum(nil)
		},
		Topic:        func() (string, bool) { return topic, true },
		PublicURL:    "https://mdm.example.test",
		Organization: "Example",
		Now:          h.now,
	}
	if err := h.enroll.Validate(); err != nil {
		t.Fatal(err)
	}
	h.apple = &apple.Service{Admitter: h.enroll, Planner: h.enroll, Trust: h.trust, Audit: h.memory, Now: h.now}
	return h
}

// signProfile signs a profile as the server does.
func signProfile(h *house, plain []byte) ([]byte, error) { return cms.Sign(plain, h.enroll.Signer()) }

// invite returns the invitation of a user and its code.
func (h *house) invite(t testing.TB, upn string, o mdm.Ownership) (Issued, string) {
	t.Helper()
	issued, err := h.enroll.Invite(context.Background(), InviteRequest{UPN: upn, Ownership: o})
	if err != nil {
		t.Fatal(err)
	}
	return issued[0], path.Base(issued[0].URL.Reveal())
}

// challenge returns the one-time password of a profile's SCEP payload.
func challenge(t testing.TB, payloads []any) string {
	t.Helper()
	for _, p := range payloads {
		dict := p.(map[string]any)
		if dict["PayloadType"] == "com.apple.security.scep" {
			return dict["PayloadContent"].(map[string]any)["Challenge"].(string)
		}
	}
	t.Fatal("no SCEP payload")
	return ""
}

// phone is an iPhone as far as these tests need one.
type phone struct {
	h        *house
	udid     string
	identity cms.Identity
	hash     string
	locked   bool                      // declines installations
	fails    string                    // request type that it answers with an error
	silent   bool                      // acknowledges without facts
	awaiting bool                      // its set-up assistant waits for DeviceConfigured
	told     map[string]map[string]any // the last command of each request type

	supervised, accountsLocked bool
	held                       map[string]map[string]any // profiles by identifier
	payloads                   map[string][]any          // of each, decrypted
	order                      []string                  // identifiers, in the order of their installation
	scep                       int                       // certificates asked for
	mail                       map[string]string         // SHA-256 of the mail identity, by profile
	mailDER                    map[string][]byte
	// keeps its management's identity though it got another; loses the certificates
	// that it is sent; asks for none, and says that it installed the profile.
	keeps, loses, refusesSCEP bool
	asked                     []string // request types, in order
}

var phoneKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// enrolled brings a phone to the point where its identity is issued.
func (h *house) newPhone(t testing.TB, upn, udid string, key int) *phone {
	t.Helper()
	_, code := h.invite(t, upn, mdm.Corporate)
	signed, err := h.enroll.EnrollmentProfile(context.Background(), code, "")
	if err != nil {
		t.Fatal(err)
	}
	trust := h.trust()
	trust.Now = noon
	profile, _, err := mobileconfig.DecodeSigned(signed, trust)
	if err != nil {
		t.Fatal(err)
	}
	grant := h.grants[challenge(t, profile["PayloadContent"].([]any))]
	p := &phone{h: h, udid: udid, held: map[string]map[string]any{}, payloads: map[string][]any{}, told: map[string]map[string]any{},
		mail: map[string]string{}, mailDER: map[string][]byte{}}
	p.identity, p.hash = h.certify(t, upn, phoneKeys()[key], grant)
	return p
}

// certify issues an identity for a grant, and notes it.
func (h *house) certify(t testing.TB, name string, key crypto.Signer, g certs.Grant) (cms.Identity, string) {
	t.Helper()
	id := h.issueAt(t, name, key, x509.ExtKeyUsageClientAuth, h.now().Add(-time.Hour), h.clock.AddDate(1, 0, 0))
	sum := sha256.Sum256(id.Certificate.Raw)
	hash := hex.EncodeToString(sum[:])
	h.issued(id.Certificate, hash, g)
	return id, hash
}

// send signs and sends one message.
func (p *phone) send(t testing.TB, dict map[string]any) ([]byte, error) {
	t.Helper()
	body, err := plist.Marshal(dict, plist.XMLFormat)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := cms.SignDetached(body, p.identity)
	if err != nil {
		t.Fatal(err)
	}
	return p.h.apple.Handle(context.Background(), apple.Request{
		Body: body, Signature: base64.StdEncoding.EncodeToString(signature), RemoteAddr: "192.0.2.1",
	})
}

func (p *phone) authenticate(t testing.TB) error {
	_, err := p.send(t, map[string]any{"MessageType": "Authenticate", "Topic": topic, "UDID": p.udid, "SerialNumber": "F2LX", "ProductName": "iPhone15,4"})
	return err
}

func (p *phone) tokenUpdate(t testing.TB) error {
	_, err := p.send(t, map[string]any{"MessageType": "TokenUpdate", "Topic": topic, "UDID": p.udid, "Token": []byte{1, 2}, "PushMagic": "magic", "UnlockToken": []byte{3}})
	return err
}

func (p *phone) checkOut(t testing.TB) error {
	_, err := p.send(t, map[string]any{"MessageType": "CheckOut", "Topic": topic, "UDID": p.udid})
	return err
}

func (p *phone) join(t testing.TB) {
	t.Helper()
	if err := p.authenticate(t); err != nil {
		t.Fatal(err)
	}
	if err := p.tokenUpdate(t); err != nil {
		t.Fatal(err)
	}
}

// enrollment is the phone's own row.
func (p *phone) enrollment(t testing.TB) mdm.Enrollment {
	t.Helper()
	e, err := p.h.EnrollmentByCertificate(context.Background(), p.hash)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// connect polls until there is nothing more to do, and returns the request
// types of the commands in their order.
func (p *phone) connect(t testing.TB) []string {
	t.Helper()
	p.asked = nil
	answer := map[string]any{"Status": "Idle", "UDID": p.udid}
	for range 30 {
		body, err := p.send(t, answer)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			return p.asked
		}
		answer = p.obey(t, body)
	}
	t.Fatalf("the conversation does not end: %v", p.asked)
	return nil
}

// obey carries a command out and returns the answer.
func (p *phone) obey(t testing.TB, body []byte) map[string]any {
	t.Helper()
	id, command := decodeCommand(t, body)
	requestType := command["RequestType"].(string)
	p.asked = append(p.asked, requestType)
	p.told[requestType] = command
	answer := map[string]any{"Status": "Acknowledged", "UDID": p.udid, "CommandUUID": id}
	switch {
	case requestType == p.fails:
		answer["Status"] = "Error"
		answer["ErrorChain"] = []any{map[string]any{"ErrorCode": 21005, "ErrorDomain": "MCEASErrorDomain", "LocalizedDescription": "not unique"}}
	case p.locked && requestType == installProfile:
		answer["Status"] = "NotNow"
	case p.silent:
	case requestType == askDevice:
		answer["QueryResponses"] = map[string]any{"UDID": p.udid, "OSVersion": "18.1", "EASDeviceIdentifier": "EAS" + p.udid,
			"IsSupervised": p.supervised, "AwaitingConfiguration": p.awaiting}
	case requestType == askSecurity:
		answer["SecurityInfo"] = map[string]any{"PasscodePresent": true, "PasscodeCompliant": true, "HardwareEncryptionCaps": 3}
	case requestType == askProfiles:
		list := []any{}
		for _, profile := range p.held {
			list = append(list, map[string]any{"PayloadIdentifier": profile["PayloadIdentifier"], "PayloadUUID": profile["PayloadUUID"], "IsManaged": true, "IsEncrypted": true})
		}
		answer["ProfileList"] = list
	case requestType == askCertificates:
		list := []any{map[string]any{"CommonName": "x", "IsIdentity": true, "Data": p.identity.Certificate.Raw}}
		for _, der := range p.mailDER {
			list = append(list, map[string]any{"CommonName": "mail", "IsIdentity": true, "Data": der})
		}
		answer["CertificateList"] = list
	case requestType == askRestrictions:
		answer["ProfileRestrictions"] = map[string]any{}
		answer["GlobalRestrictions"] = map[string]any{"restrictedBool": map[string]any{"allowAccountModification": map[string]any{"value": !p.accountsLocked}}}
	case requestType == removeProfile:
		delete(p.held, command["Identifier"].(string))
	case requestType == deviceConfigured:
		p.awaiting = false
	case requestType == eraseDevice, requestType == deviceLock, requestType == clearPasscode, requestType == settings,
		requestType == askApplications, requestType == askManaged:
	case requestType == installProfile:
		p.install(t, command["Payload"].([]byte))
	default:
		t.Fatalf("unexpected command %s", requestType)
	}
	return answer
}

// install verifies, decrypts and keeps a profile, and uses its challenge.
func (p *phone) install(t testing.TB, signed []byte) {
	t.Helper()
	trust := p.h.trust()
	trust.Now = noon
	profile, _, err := mobileconfig.DecodeSigned(signed, trust)
	if err != nil {
		t.Fatal(err)
	}
	if _, open := profile["PayloadContent"]; open || profile["IsEncrypted"] != true {
		t.Fatal("the profile is not encrypted")
	}
	content, err := cms.Decrypt(profile["EncryptedPayloadContent"].([]byte), p.identity.Certificate, p.identity.Key)
	if err != nil {
		t.Fatal(err)
	}
	var payloads []any
	if _, err := plist.Unmarshal(content, &payloads); err != nil {
		t.Fatal(err)
	}
	identifier := profile["PayloadIdentifier"].(string)
	p.held[identifier], p.payloads[identifier] = profile, payloads
	p.order = append(p.order, identifier)
	if !slices.ContainsFunc(payloads, func(v any) bool { return v.(map[string]any)["PayloadType"] == "com.apple.security.scep" }) {
		return
	}
	secret := challenge(t, payloads)
	grant, e := p.h.grants[secret], p.enrollment(t)
	want := certs.Grant{Rule: certs.RuleMailIdentity, CommonName: grant.CommonName, UPN: grant.UPN, Mail: grant.Mail, UserID: string(e.UserID), EnrollmentID: string(e.ID), Profile: identifier}
	if identifier == p.h.enroll.enrollmentIdentifier() {
		want.Rule, want.Profile, want.AccessRights = certs.RuleMDMIdentity, "", grant.AccessRights
	}
	if grant != want || p.h.ttl[secret] != 7*24*time.Hour {
		t.Fatalf("got grant %+v for %v, want %+v", grant, p.h.ttl[secret], want)
	}
	p.scep++
	if p.refusesSCEP {
		return
	}
	id, hash := p.h.certify(t, grant.CommonName, p.identity.Key, grant)
	switch {
	case p.loses:
	case grant.Rule == certs.RuleMailIdentity:
		p.mail[identifier], p.mailDER[identifier] = hash, id.Certificate.Raw
	case !p.keeps:
		p.identity, p.hash = id, hash
	}
}

func decodeCommand(t testing.TB, body []byte) (string, map[string]any) {
	t.Helper()
	var dict map[string]any
	if _, err := plist.Unmarshal(body, &dict); err != nil {
		t.Fatal(err)
	}
	return dict["CommandUUID"].(string), dict["Command"].(map[string]any)
}
