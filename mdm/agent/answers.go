package agent

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
)

// deviceInformation answers what was asked and is known, nothing else
// (https://developer.apple.com/documentation/devicemanagement/device_information).
func (p *Phone) deviceInformation(c command, o *outcome) error {
	asked := c.args.texts("Queries")
	if c.args.err != nil {
		return c.args.err
	}
	known := p.properties()
	responses := map[string]any{}
	for _, q := range asked {
		if v, ok := known[q]; ok {
			responses[q] = v
		}
	}
	o.keys = map[string]any{"QueryResponses": responses}
	return nil
}

func (p *Phone) properties() map[string]any {
	f := p.s.Facts
	return map[string]any{
		"UDID":                          f.UDID,
		"SerialNumber":                  f.Serial,
		"IMEI":                          f.IMEI,
		"DeviceName":                    f.Name,
		"OSVersion":                     f.OS,
		"BuildVersion":                  build(f.OS),
		"ProductName":                   f.Product,
		"ModelName":                     "iPhone",
		"Model":                         "MLPK3ZD",
		"ModelNumber":                   "MLPK3ZD/A",
		"DeviceCapacity":                119.2,
		"AvailableDeviceCapacity":       81.7,
		"BatteryLevel":                  0.83,
		"CellularTechnology":            1,
		"IsSupervised":                  f.Supervised,
		"IsDeviceLocatorServiceEnabled": true,
		"IsActivationLockEnabled":       true,
		"IsMDMLostModeEnabled":          false,
		"IsDoNotDisturbInEffect":        false,
		"IsCloudBackupEnabled":          true,
		"AwaitingConfiguration":         false,
		"EASDeviceIdentifier":           f.EASDeviceID,
		"SoftwareUpdateDeviceID":        f.Product,
		"TimeZone":                      "Europe/Berlin",
	}
}

// build makes up a build number in Apple's pattern: 16.1 is 20B…, 18.6 is 22G…,
// 26.1 is 23B….
func build(os string) string {
	parts := strings.Split(os, ".")
	major, _ := strconv.Atoi(parts[0])
	minor := 0
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	if major >= 26 { // numbered by year from here on
		major -= 3
	} else {
		major += 4
	}
	return fmt.Sprintf("%d%c%d", major, rune('A'+minor%26), 80+minor)
}

// securityInfo answers for a device enrolment
// (https://developer.apple.com/documentation/devicemanagement/securityinforesponse).
// Without a passcode a phone complies until a policy asks for one.
func (p *Phone) securityInfo(o *outcome) {
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
	if major, _, _ := strings.Cut(f.OS, "."); atLeast(major, 17) {
		item["PayloadUUID"] = r.UUID
	}
	addWords(item, r.DisplayName, r.Description, r.Organization)
	return item
}

func atLeast(major string, n int) bool {
	v, err := strconv.Atoi(major)
	return err == nil && v >= n
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
