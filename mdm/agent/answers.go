package agent

import (
	"crypto/x509"
	"fmt"
)

// securityInfo answers for a device enrolment
// (https://developer.apple.com/documentation/devicemanagement/securityinforesponse).
// Without a passcode a phone complies until a policy asks for one.
func (p *Phone) securityInfo(_ command, o *outcome) error {
	compliant := p.s.Facts.Passcode || !p.s.passcodeRequired()
	o.keys = map[string]any{"SecurityInfo": map[string]any{
		"HardwareEncryptionCaps":          3,
		"PasscodePresent":                 p.s.Facts.Passcode,
		"PasscodeCompliant":               compliant,
		"PasscodeCompliantWithProfiles":   compliant,
		"PasscodeLockGracePeriod":         0,
		"PasscodeLockGracePeriodEnforced": 0,
		"ManagementStatus":                map[string]any{"IsUserEnrollment": false},
	}}
	return nil
}

func (s *state) passcodeRequired() bool {
	for _, prof := range s.Profiles {
		if prof.ForcePIN {
			return true
		}
	}
	return false
}

// profileList answers with every profile
// (https://developer.apple.com/documentation/devicemanagement/profilelistresponse).
func (p *Phone) profileList(c command, o *outcome) error {
	managedOnly := c.args.boolean("ManagedOnly", false)
	if c.args.err != nil {
		return c.args.err
	}
	list := []any{}
	for _, prof := range p.s.Profiles {
		if !managedOnly || prof.Managed {
			list = append(list, prof.listItem(p.s.Facts))
		}
	}
	o.keys = map[string]any{"ProfileList": list}
	return nil
}

func (i installed) listItem(f facts) map[string]any {
	item := map[string]any{
		"PayloadIdentifier":        i.Identifier,
		"PayloadUUID":              i.UUID,
		"PayloadVersion":           1,
		"PayloadRemovalDisallowed": i.NoRemoval && f.Supervised,
		"HasRemovalPasscode":       false,
		"IsEncrypted":              i.Encrypted,
	}
	addWords(item, i.DisplayName, i.Description, i.Organization)
	if len(i.Signers) > 0 {
		item["SignerCertificates"] = i.Signers
	}
	if !f.Supervised { // a supervised phone does not say
		item["IsManaged"] = i.Managed
	}
	if !i.Encrypted { // the content of an encrypted profile stays on the phone
		content := []any{}
		for _, ref := range i.Payloads {
			content = append(content, ref.listItem(f))
		}
		item["PayloadContent"] = content
	}
	return item
}

func (r payloadRef) listItem(f facts) map[string]any {
	item := map[string]any{"PayloadType": r.Type, "PayloadVersion": 1, "PayloadIdentifier": r.Identifier}
	if from(f.OS, "17.0") {
		item["PayloadUUID"] = r.UUID
	}
	addWords(item, r.DisplayName, r.Description, r.Organization)
	return item
}

func addWords(item map[string]any, name, description, organization string) {
	for k, v := range map[string]string{"PayloadDisplayName": name, "PayloadDescription": description, "PayloadOrganization": organization} {
		if v != "" {
			item[k] = v
		}
	}
}

// certificateList answers with every certificate that came by profile
// (https://developer.apple.com/documentation/devicemanagement/certificatelistresponse).
func (p *Phone) certificateList(c command, o *outcome) error {
	_ = c.args.boolean("ManagedOnly", false) // all of ours came by MDM or with its profile
	if c.args.err != nil {
		return c.args.err
	}
	list := []any{}
	add := func(der []byte, isIdentity bool) error {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate on the phone: %w", err)
		}
		list = append(list, map[string]any{"CommonName": cert.Subject.CommonName, "IsIdentity": isIdentity, "Data": der})
		return nil
	}
	for _, a := range p.s.Authorities {
		if err := add(a.Certificate, false); err != nil {
			return err
		}
	}
	for _, id := range p.s.Identities {
		if err := add(id.Certificate, true); err != nil {
			return err
		}
	}
	o.keys = map[string]any{"CertificateList": list}
	return nil
}
