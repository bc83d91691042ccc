package agent

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

func (f *fakeServer) scepPayload(id, uuid, challenge string) m {
	return m{
		"PayloadType": "com.apple.security.scep", "PayloadVersion": 1, "PayloadIdentifier": id, "PayloadUUID": uuid,
		"PayloadContent": m{
			"URL": f.http.URL + "/scep", "Name": "sallyport", "Challenge": challenge, "Key Type": "RSA", "Keysize": 2048, "Key Usage": 5,
			"Subject":        []any{[]any{[]any{"O", "Example"}}, []any{[]any{"CN", "phone"}}},
			"SubjectAltName": m{"ntPrincipalName": "alice@example.test", "rfc822Name": []any{"alice@example.test"}},
		},
	}
}

func profileOf(id, uuid string, content ...any) m {
	return m{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": id, "PayloadUUID": uuid,
		"PayloadDisplayName": "Example", "PayloadContent": content,
	}
}

func (f *fakeServer) enrolmentProfile(challenge string) []byte {
	return f.encode(profileOf("test.example.enrol", "44444444-4444-5444-8444-444444444444",
		m{"PayloadType": "com.apple.security.root", "PayloadVersion": 1, "PayloadIdentifier": "test.example.enrol.ca", "PayloadUUID": "55555555-5555-5555-8555-555555555555", "PayloadContent": f.ca.root.Raw},
		f.scepPayload("test.example.enrol.scep", scepUUID, challenge),
		m{
			"PayloadType": "com.apple.mdm", "PayloadVersion": 1, "PayloadIdentifier": "test.example.enrol.mdm", "PayloadUUID": mdmUUID,
			"IdentityCertificateUUID": scepUUID, "Topic": topic, "ServerURL": f.http.URL + "/mdm", "CheckInURL": f.http.URL + "/mdm",
			"SignMessage": true, "CheckOutWhenRemoved": true, "AccessRights": 7999,
		}))
}

// mailProfile is one EAS account with its identity, as the server pushes it.
func (f *fakeServer) mailProfile(easUUID, host string) m {
	challenge := randomText()
	f.challenges[challenge] = ""
	const identityUUID = "66666666-6666-5666-8666-666666666666"
	return profileOf("test.example.mail", strings.ToUpper("77777777-7777-5777-8777-777777777777"),
		f.scepPayload("test.example.mail.scep", identityUUID, challenge),
		m{
			"PayloadType": "com.apple.eas.account", "PayloadVersion": 1, "PayloadIdentifier": "test.example.mail.eas", "PayloadUUID": easUUID,
			"PayloadDisplayName": "Mail", "EmailAddress": "alice@example.test", "UserName": "alice@example.test", "Host": host, "SSL": true,
			"PayloadCertificateUUID": identityUUID,
		})
}

// encrypted closes a profile's payloads to the phone and signs it.
func (f *fakeServer) encrypted(p m) []byte {
	f.t.Helper()
	content := f.encode(p["PayloadContent"])
	closed, err := pkcs7.Encrypt(content, []*x509.Certificate{f.identity})
	if err != nil {
		f.fail("%v", err)
	}
	out := m{}
	for k, v := range p {
		if k != "PayloadContent" {
			out[k] = v
		}
	}
	out["IsEncrypted"], out["EncryptedPayloadContent"] = true, closed
	return f.ca.signed(f.t, f.encode(out))
}

func (f *fakeServer) scep(w http.ResponseWriter, r *http.Request, body []byte) {
	switch op := r.URL.Query().Get("operation"); op {
	case "GetCACaps":
		fmt.Fprint(w, f.caps)
	case "GetCACert":
		der, err := scep.DegenerateCertificates([]*x509.Certificate{f.ca.ra, f.ca.root})
		if err != nil {
			f.t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-x509-ca-ra-cert")
		_, _ = w.Write(der)
	case "PKIOperation":
		w.Header().Set("Content-Type", "application/x-pki-message")
		_, _ = w.Write(f.issue(body))
	default:
		f.t.Errorf("SCEP operation %q", op)
	}
}

// issue is the CA's half of RFC 8894 as smallstep's library has it.
func (f *fakeServer) issue(body []byte) []byte {
	msg, err := scep.ParsePKIMessage(body)
	if err != nil {
		f.fail("PKIOperation: %v", err)
	}
	if err := msg.DecryptPKIEnvelope(f.ca.ra, f.ca.raKey); err != nil {
		f.fail("PKIOperation: %v", err)
	}
	if err := msg.CSR.CheckSignature(); err != nil {
		f.t.Errorf("CSR: %v", err)
	}
	use := string(msg.TransactionID) + base64.StdEncoding.EncodeToString(msg.CSR.RawSubjectPublicKeyInfo)
	used, known := f.challenges[msg.ChallengePassword]
	if msg.MessageType == scep.RenewalReq {
		used, known = "", f.renewable != nil && f.renewable(body)
	}
	if !known || (used != "" && used != use) {
		reply, err := msg.Fail(f.ca.ra, f.ca.raKey, scep.BadRequest)
		if err != nil {
			f.fail("%v", err)
		}
		return reply.Raw
	}
	f.challenges[msg.ChallengePassword] = use
	cert := f.issued[use]
	if cert == nil {
		cert = f.ca.identity(f.t, "phone", "alice@example.test", msg.CSR.PublicKey)
		f.issued[use] = cert
	}
	reply, err := msg.Success(f.ca.ra, f.ca.raKey, cert)
	if err != nil {
		f.fail("%v", err)
	}
	return reply.Raw
}
