package mobileconfig

import (
	"cmp"
	"strings"

	"sallyport/internal/refusal"
)

// Bits of AccessRights that need another one beside them.
const (
	inspectProfiles     = 1
	installProfiles     = 2 // needs inspectProfiles
	inspectProvisioning = 64
	installProvisioning = 128 // needs inspectProvisioning
)

// MDM puts the phone under management. Topic, URLs and rights are frozen by the
// phone once it is installed.
// https://developer.apple.com/documentation/devicemanagement/mdm
type MDM struct {
	Common
	IdentityUUID string // PayloadUUID of the SCEP payload in the same profile
	Topic        string // of the push certificate, com.apple.mgmt.…
	ServerURL    string
	CheckInURL   string // empty: ServerURL
	AccessRights int    // what the user grants; frozen: the phone refuses an update that adds one
}

// Type implements Payload.
func (MDM) Type() string { return "com.apple.mdm" }

func (m MDM) fill(dict map[string]any, _ mode) {
	dict["IdentityCertificateUUID"] = m.IdentityUUID
	dict["Topic"] = m.Topic
	dict["ServerURL"] = m.ServerURL
	dict["CheckInURL"] = cmp.Or(m.CheckInURL, m.ServerURL)
	dict["AccessRights"] = m.AccessRights
	dict["SignMessage"] = true // every message is authenticated, whoever ends TLS
	dict["CheckOutWhenRemoved"] = true
}

func (m MDM) check() refusal.List {
	var list refusal.List
	list.Add(
		required(m.Type()+".IdentityCertificateUUID", m.IdentityUUID),
		https(m.Type()+".ServerURL", m.ServerURL),
		https(m.Type()+".CheckInURL", cmp.Or(m.CheckInURL, m.ServerURL)),
	)
	list.Add(texts(m.Type()+".", map[string]string{"Topic": m.Topic, "ServerURL": m.ServerURL, "CheckInURL": m.CheckInURL})...)
	if !strings.HasPrefix(m.Topic, "com.apple.mgmt.") { // MDM error 12022
		list.Add(refusal.New(ErrInvalid, m.Type()+".Topic", "does not begin with com.apple.mgmt.", "take it from the push certificate"))
	}
	rights := m.AccessRights
	if rights <= 0 || rights > 8191 || lacks(rights, installProfiles, inspectProfiles) || lacks(rights, installProvisioning, inspectProvisioning) { // MDM error 12000
		list.Add(refusal.New(ErrInvalid, m.Type()+".AccessRights", "are not a valid set of rights", "2 needs 1, 128 needs 64"))
	}
	return list
}

func https(key, url string) *refusal.Error {
	if strings.HasPrefix(url, "https://") && len(url) > len("https://") {
		return nil
	}
	return refusal.New(ErrInvalid, key, "does not begin with https://", "phones talk to an MDM server over TLS only")
}

func (m MDM) references() map[string]string {
	return map[string]string{"IdentityCertificateUUID": m.IdentityUUID}
}

func lacks(rights, right, needed int) bool { return rights&right != 0 && rights&needed == 0 }
