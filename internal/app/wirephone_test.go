package app

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"howett.net/plist"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/cms"
	"sallyport/internal/config"
	"sallyport/mdm"
)

const wireUDID = "00008110-000A1B2C3D4E5F60"

// wirePhone is one phone at the handlers of a server: each of its messages is at
// hand before it is sent.
type wirePhone struct {
	b      testing.TB
	app    *App
	id     cms.Identity
	upn    string
	change int
	uuids  map[string]string // of our profiles on it, by identifier
}

// message is one request that is ready to be sent.
type message struct {
	body      []byte
	signature string
}

func (p *wirePhone) message(fields map[string]any) message {
	p.b.Helper()
	fields["UDID"] = wireUDID
	body, err := plist.Marshal(fields, plist.XMLFormat)
	if err != nil {
		p.b.Fatal(err)
	}
	der, err := cms.SignDetached(body, p.id)
	if err != nil {
		p.b.Fatal(err)
	}
	return message{body, base64.StdEncoding.EncodeToString(der)}
}

func (m message) request() *http.Request {
	r := httptest.NewRequest(http.MethodPut, "/mdm", bytes.NewReader(m.body))
	r.Header.Set("Mdm-Signature", m.signature)
	return r
}

func send(b testing.TB, h http.Handler, m message) []byte {
	b.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, m.request())
	if w.Code != http.StatusOK {
		b.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// order is a command as the phone reads it.
type order struct {
	CommandUUID string `plist:"CommandUUID"`
	Command     struct {
		RequestType string `plist:"RequestType"`
		Identifier  string `plist:"Identifier"`
		Payload     []byte `plist:"Payload"`
	} `plist:"Command"`
}

func parseOrder(b testing.TB, body []byte) order {
	b.Helper()
	var o order
	if len(body) == 0 {
		return o
	}
	if _, err := plist.Unmarshal(body, &o); err != nil {
		b.Fatal(err)
	}
	return o
}

// handler is what serves phones, from the outermost layer on.
func (p *wirePhone) handler() http.Handler { return p.app.fronts[0].server.Handler }

// settle answers everything that the server asks until it has no more to say.
func (p *wirePhone) settle(body []byte) {
	p.b.Helper()
	for range 50 {
		o := parseOrder(p.b, body)
		if o.CommandUUID == "" {
			return
		}
		body = send(p.b, p.handler(), p.answer(o))
	}
	p.b.Fatal("the server asks without end")
}

func (p *wirePhone) answer(o order) message {
	fields := map[string]any{"Status": "Acknowledged", "CommandUUID": o.CommandUUID}
	switch o.Command.RequestType {
	case "DeviceInformation":
		fields["QueryResponses"] = map[string]any{"UDID": wireUDID, "DeviceName": "Alice's iPhone", "OSVersion": "17.5.1", "BuildVersion": "21F90",
			"ModelName": "iPhone", "Model": "MLPF3ZD/A", "ProductName": "iPhone14,5", "SerialNumber": "C39ZK0SALLY1",
			"IsSupervised": false, "EASDeviceIdentifier": "0123456789ABCDEF0123456789ABCDEF"}
	case "SecurityInfo":
		fields["SecurityInfo"] = map[string]any{"HardwareEncryptionCaps": 3, "PasscodePresent": true, "PasscodeCompliant": true, "PasscodeCompliantWithProfiles": true}
	case "CertificateList":
		fields["CertificateList"] = []any{map[string]any{"CommonName": "alice", "IsIdentity": true, "Data": p.id.Certificate.Raw}}
	case "InstallProfile":
		p.installed(o)
	case "ProfileList":
		list := []any{}
		for identifier, uuid := range p.uuids {
			list = append(list, map[string]any{"PayloadIdentifier": identifier, "PayloadUUID": uuid, "IsManaged": true, "IsEncrypted": true})
		}
		fields["ProfileList"] = list
	case "Restrictions":
		fields["GlobalRestrictions"] = map[string]any{}
	}
	return p.message(fields)
}

// installed notes what the phone would read in the profile.
func (p *wirePhone) installed(o order) {
	p.b.Helper()
	have, err := p.app.db.Plans().LoadPlan(p.b.Context(), p.enrollment().ID)
	if err != nil {
		p.b.Fatal(err)
	}
	i := slices.IndexFunc(have.Commands, func(c mdm.Command) bool { return string(c.ID) == o.CommandUUID })
	p.uuids[have.Commands[i].Subject] = have.Commands[i].Revision
}

func (p *wirePhone) enrollment() mdm.Enrollment {
	p.b.Helper()
	sum := sha256.Sum256(p.id.Certificate.Raw)
	e, err := p.app.db.Enrollments().EnrollmentByCertificate(p.b.Context(), hex.EncodeToString(sum[:]))
	if err != nil {
		p.b.Fatal(err)
	}
	return e
}

// rename makes another revision of the phone's profile due.
func (p *wirePhone) rename() {
	p.b.Helper()
	p.change++
	user := directory.User{UPN: p.upn, Email: p.upn, DisplayName: fmt.Sprint("Alice ", p.change)}
	if _, err := p.app.rooms.users.Save(p.b.Context(), []directory.User{user}); err != nil {
		p.b.Fatal(err)
	}
}

const wireTemplate = `name: mail
display_name: "Mail of %displayname%"
assign: everyone
accounts:
  - {name: Company mail, host_type: on_premises, host: mail.example.test, user_name: "%upn%", email: "%email%"}
  - {name: Sales, host_type: on_premises, host: sales.example.test, user_name: "%upn%", email: sales@example.test}
  - {name: Support, host_type: on_premises, host: support.example.test, user_name: "%upn%", email: support@example.test}
`

// enrolled is a server with one phone that has everything it should have.
func enrolled(b testing.TB, database string) *wirePhone {
	b.Helper()
	cfg := settingsIn(b.TempDir())
	if database != "" {
		cfg.Database = config.NewDatabaseURL(database)
	}
	a, err := New(b.Context(), cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	p := &wirePhone{b: b, app: a, upn: "alice@example.test", uuids: map[string]string{}}
	p.rename()
	if _, _, err := a.rooms.templates.Apply(b.Context(), []byte(wireTemplate)); err != nil {
		b.Fatal(err)
	}
	p.identity()
	topic, _ := a.rooms.enroll.Topic()
	for _, fields := range []map[string]any{
		{"MessageType": "Authenticate", "Topic": topic, "OSVersion": "17.5.1", "ProductName": "iPhone14,5", "SerialNumber": "C39ZK0SALLY1"},
		{"MessageType": "TokenUpdate", "Topic": topic, "Token": make([]byte, 32), "PushMagic": "magic"},
	} {
		send(b, p.handler(), p.message(fields))
	}
	p.settle(send(b, p.handler(), p.message(map[string]any{"Status": "Idle"})))
	return p
}

// identity takes the certificate that an invitation entitles to.
func (p *wirePhone) identity() {
	p.b.Helper()
	ctx, rooms := p.b.Context(), p.app.rooms
	issued, err := rooms.enroll.Invite(ctx, enroll.InviteRequest{UPN: p.upn, Ownership: mdm.Corporate})
	if err != nil {
		p.b.Fatal(err)
	}
	invitation := issued[0].Invitation
	challenge, err := rooms.issuer.Mint(ctx, certs.Grant{
		Rule: certs.RuleMDMIdentity, CommonName: p.upn, UPN: p.upn, UserID: string(invitation.UserID), InvitationID: string(invitation.ID),
	}, time.Hour)
	if err != nil {
		p.b.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		p.b.Fatal(err)
	}
	cert, err := rooms.issuer.Issue(ctx, certs.Request{Challenge: challenge, PublicKey: key.Public(), TransactionID: "bench"})
	if err != nil {
		p.b.Fatal(err)
	}
	p.id = cms.Identity{Certificate: cert, Chain: rooms.authority.Intermediates(), Key: key}
}
