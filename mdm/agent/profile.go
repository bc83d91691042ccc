package agent

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
)

// Payload types that the phone acts on
// (https://developer.apple.com/documentation/devicemanagement/profile-specific-payload-keys).
// Others are listed with their profile and do nothing, as on an iPhone that
// does not know a type.
const (
	typeMDM      = "com.apple.mdm"
	typeSCEP     = "com.apple.security.scep"
	typeEAS      = "com.apple.eas.account"
	typeRoot     = "com.apple.security.root"
	typePKCS1    = "com.apple.security.pkcs1"
	typePasscode = "com.apple.mobiledevice.passwordpolicy"

	typeRestrictions = "com.apple.applicationaccess"
)

// profile is a configuration profile, opened and checked.
type profile struct {
	payloadRef // identifier, UUID and words of the profile as a whole
	noRemoval  bool
	encrypted  bool
	signers    []*x509.Certificate
	payloads   []payload
}

// payload is one entry of PayloadContent.
type payload struct {
	payloadRef
	keys dict
}

// keyring tries the phone's identities on an encrypted profile.
type keyring func(enveloped []byte) ([]byte, error)

// parseProfile reads the property list of a profile whose signature has been
// verified (https://developer.apple.com/documentation/devicemanagement/toplevel).
func parseProfile(content []byte, open keyring) (*profile, error) {
	d, err := decodeDict(content)
	if err != nil {
		return nil, refuse(ErrProfile, domainProfile, codeProfileMalformed, "The profile is malformed.").because(err)
	}
	r := &reader{d: d}
	p := &profile{payloadRef: header(r), noRemoval: r.boolean("PayloadRemovalDisallowed", false), encrypted: r.boolean("IsEncrypted", false)}
	version := r.integer("PayloadVersion", -1)
	var content2 []any
	var enveloped []byte
	if p.encrypted {
		enveloped = r.data("EncryptedPayloadContent", true)
	} else {
		content2 = r.array("PayloadContent", true)
	}
	if err := profileField(r.err); err != nil {
		return nil, err
	}
	if p.Type != "Configuration" {
		return nil, refuse(ErrProfile, domainProfile, codeProfileMalformed, "The profile is of the wrong type.")
	}
	if version != 1 {
		return nil, refuse(ErrProfile, domainProfile, codeProfileVersion, "The profile's version is not supported.")
	}
	if p.encrypted {
		if content2, err = decryptPayloads(enveloped, open); err != nil {
			return nil, err
		}
	}
	if p.payloads, err = parsePayloads(content2); err != nil {
		return nil, err
	}
	return p, nil
}

func decryptPayloads(enveloped []byte, open keyring) ([]any, error) {
	plain, err := open(enveloped)
	if err != nil {
		return nil, refuse(ErrProfile, domainProfile, codeProfileCannotDecrypt, "The profile could not be decrypted.").because(err)
	}
	content, err := decodeArray(plain)
	if err != nil {
		return nil, refuse(ErrProfile, domainProfile, codeProfileMalformed, "The decrypted profile is malformed.").because(err)
	}
	return content, nil
}

func header(r *reader) payloadRef {
	return payloadRef{
		Type: r.need("PayloadType"), Identifier: r.need("PayloadIdentifier"), UUID: r.need("PayloadUUID"),
		DisplayName: r.text("PayloadDisplayName"), Description: r.text("PayloadDescription"), Organization: r.text("PayloadOrganization"),
	}
}

func parsePayloads(content []any) ([]payload, error) {
	if len(content) == 0 {
		return nil, refuse(ErrProfile, domainProfile, codeProfileEmpty, "The profile is empty.")
	}
	var out []payload
	uuids, ids := map[string]bool{}, map[string]bool{}
	for _, item := range content {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, refuse(ErrProfile, domainProfile, codeProfileBadType, "A payload is not a dictionary.")
		}
		r := &reader{d: m}
		one := payload{payloadRef: header(r), keys: m}
		version := r.integer("PayloadVersion", -1)
		if err := payloadField(one.Type, r.err); err != nil {
			return nil, err
		}
		if version != 1 {
			return nil, refuse(ErrProfile, domainPayload, codePayloadBadValue, "The version of payload %q is not supported.", one.Type)
		}
		// iOS compares UUIDs without regard to case.
		if key := strings.ToUpper(one.UUID); uuids[key] {
			return nil, refuse(ErrProfile, domainProfile, codeProfileSameUUID, "Two payloads have the same UUID.")
		} else {
			uuids[key] = true
		}
		if ids[one.Identifier] {
			return nil, refuse(ErrProfile, domainProfile, codeProfileSameID, "Two payloads have the same identifier.")
		}
		ids[one.Identifier] = true
		out = append(out, one)
	}
	return out, nil
}

// of returns the payloads of one type.
func (p *profile) of(types ...string) []payload {
	var out []payload
	for _, one := range p.payloads {
		for _, t := range types {
			if one.Type == t {
				out = append(out, one)
			}
		}
	}
	return out
}

// profileField and payloadField give a fault in a key the number that iOS has for it.
func profileField(err error) error {
	return fieldRefusal(err, domainProfile, codeProfileMissingField, codeProfileBadType, "profile")
}

func payloadField(kind string, err error) error {
	return fieldRefusal(err, domainPayload, codePayloadMissingField, codePayloadBadType, "payload "+kind)
}

func fieldRefusal(err error, domain string, missing, badType int, where string) error {
	var f *fieldError
	if !errors.As(err, &f) {
		return err
	}
	if f.missing {
		return refuse(ErrProfile, domain, missing, "The field %q is missing in the %s.", f.key, where)
	}
	return refuse(ErrProfile, domain, badType, "The field %q in the %s has the wrong type.", f.key, where)
}

// mdmPayload is what com.apple.mdm asks the phone to accept
// (https://developer.apple.com/documentation/devicemanagement/mdm).
type mdmPayload struct {
	topic, serverURL, checkInURL, identityRef string
	rights                                    int
	checkOut                                  bool
}

func parseMDM(one payload) (mdmPayload, error) {
	r := &reader{d: one.keys}
	m := mdmPayload{
		topic: r.need("Topic"), serverURL: r.need("ServerURL"), checkInURL: r.text("CheckInURL"), identityRef: r.need("IdentityCertificateUUID"),
		rights: r.integer("AccessRights", 0), checkOut: r.boolean("CheckOutWhenRemoved", false),
	}
	signed := r.boolean("SignMessage", false)
	if err := payloadField(one.Type, r.err); err != nil {
		return m, err
	}
	if m.checkInURL == "" {
		m.checkInURL = m.serverURL
	}
	switch {
	case !strings.HasPrefix(m.topic, "com.apple.mgmt."):
		return m, refuse(ErrProfile, domainMDM, codeMDMBadTopic, "The topic does not begin with com.apple.mgmt.")
	case !strings.HasPrefix(m.serverURL, "https://") || !strings.HasPrefix(m.checkInURL, "https://"):
		return m, refuse(ErrProfile, domainPayload, codePayloadBadValue, "ServerURL and CheckInURL must begin with https://")
	case !validRights(m.rights):
		return m, refuse(ErrProfile, domainMDM, codeMDMBadRights, "The access rights %d are not valid.", m.rights)
	case !signed:
		// An iPhone would show its identity in the TLS handshake instead; this
		// phone proves itself by signature only.
		return m, refuse(ErrProfile, domainPayload, codePayloadBadValue, "SignMessage must be true for this phone.")
	}
	return m, nil
}

// Access rights (AccessRights of com.apple.mdm).
const (
	rightInspectProfiles  = 1
	rightInstallProfiles  = 2
	rightLock             = 4
	rightErase            = 8
	rightDeviceInfo       = 16
	rightNetwork          = 32
	rightInspectProv      = 64
	rightInstallProv      = 128
	rightApps             = 256
	rightRestrictions     = 512
	rightSecurity         = 1024
	rightSettings         = 2048
	rightManageApps       = 4096
	allRights             = 8191
	keyUsageSign          = 1 // SCEP's "Key Usage"
	keyUsageEncrypt       = 4
	smallestKey, largeKey = 2048, 4096
)

func validRights(r int) bool {
	switch {
	case r <= 0 || r > allRights:
		return false
	case r&rightInstallProfiles != 0 && r&rightInspectProfiles == 0:
		return false
	case r&rightInstallProv != 0 && r&rightInspectProv == 0:
		return false
	}
	return true
}

// parseAuthority reads a CA certificate payload: DER, as Apple asks.
func parseAuthority(one payload) (*x509.Certificate, error) {
	r := &reader{d: one.keys}
	der := r.data("PayloadContent", true)
	if err := payloadField(one.Type, r.err); err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "A certificate of the profile is malformed.").because(err)
	}
	if one.Type == typeRoot && (!c.IsCA || c.CheckSignatureFrom(c) != nil) {
		return nil, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "The root certificate of the profile is not a root.")
	}
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < smallestKey {
		return nil, refuse(ErrProfile, domainCertificate, codeCertificateMalformed, "The key of a certificate of the profile is too short.")
	}
	return c, nil
}
