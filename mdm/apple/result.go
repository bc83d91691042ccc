package apple

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/bounded"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// queryResponses answer DeviceInformation
// (https://developer.apple.com/documentation/devicemanagement/deviceinformationresponse).
type queryResponses struct {
	UDID                string `plist:"UDID"`
	DeviceName          string `plist:"DeviceName"`
	OSVersion           string `plist:"OSVersion"`
	BuildVersion        string `plist:"BuildVersion"`
	ModelName           string `plist:"ModelName"`
	Model               string `plist:"Model"`
	ProductName         string `plist:"ProductName"`
	SerialNumber        string `plist:"SerialNumber"`
	IsSupervised        *bool  `plist:"IsSupervised"`
	Awaiting            *bool  `plist:"AwaitingConfiguration"`
	EASDeviceIdentifier string `plist:"EASDeviceIdentifier"`
}

// securityInfo answers SecurityInfo
// (https://developer.apple.com/documentation/devicemanagement/securityinforesponse).
type securityInfo struct {
	HardwareEncryptionCaps        *int64 `plist:"HardwareEncryptionCaps"`
	PasscodePresent               *bool  `plist:"PasscodePresent"`
	PasscodeCompliant             *bool  `plist:"PasscodeCompliant"`
	PasscodeCompliantWithProfiles *bool  `plist:"PasscodeCompliantWithProfiles"`
}

// profileItem is one entry of ProfileList
// (https://developer.apple.com/documentation/devicemanagement/profilelistresponse).
type profileItem struct {
	PayloadIdentifier  string `plist:"PayloadIdentifier"`
	PayloadUUID        string `plist:"PayloadUUID"`
	PayloadDisplayName string `plist:"PayloadDisplayName"`
	IsManaged          *bool  `plist:"IsManaged"`
	IsEncrypted        bool   `plist:"IsEncrypted"`
}

// certificateItem is one entry of CertificateList
// (https://developer.apple.com/documentation/devicemanagement/certificatelistresponse).
type certificateItem struct {
	CommonName string `plist:"CommonName"`
	IsIdentity bool   `plist:"IsIdentity"`
	Data       []byte `plist:"Data"`
}

// contact turns a result into what the rooms above work with.
func (m message) contact(now time.Time) (mdm.Contact, error) {
	c := mdm.Contact{At: now, Status: mdm.Status(m.Status), CommandID: mdm.CommandID(m.CommandUUID)}
	if err := identifier("CommandUUID", m.CommandUUID); err != nil {
		return mdm.Contact{}, err
	}
	switch c.Status {
	case mdm.StatusIdle:
		c.CommandID = ""
		return c, nil
	case mdm.StatusAcknowledged, mdm.StatusError, mdm.StatusFormatError, mdm.StatusNotNow:
	default:
		return mdm.Contact{}, malformed("Status", "is not one of Idle, Acknowledged, Error, CommandFormatError, NotNow")
	}
	if c.CommandID == "" {
		return mdm.Contact{}, malformed("CommandUUID", "is missing")
	}
	chain := m.ErrorChain
	if c.Status == mdm.StatusAcknowledged {
		c.Result = m.kept()
		if of, failed := m.Settings.failed(); failed {
			// Not done is an error, though the command as a whole was acknowledged.
			c.Status, c.Result, chain = mdm.StatusError, secret.Value{}, of
		}
	}
	var err error
	if c.Status == mdm.StatusAcknowledged {
		c.Report, err = m.report(now)
	} else {
		c.Errors, err = chainItems(chain)
	}
	return c, err
}

// kept is the whole result, already checked to be a plain XML property list;
// nothing when it is too large to keep, since half of one would be none.
func (m message) kept() secret.Value {
	if len(m.body) > MaxRaw {
		return secret.Value{}
	}
	return secret.New(string(m.body))
}

func chainItems(chain []errorItem) ([]mdm.ErrorItem, error) {
	if err := count("ErrorChain", len(chain)); err != nil {
		return nil, err
	}
	var items []mdm.ErrorItem
	for _, e := range chain {
		description := e.USEnglishDescription
		if description == "" {
			description = e.LocalizedDescription
		}
		items = append(items, mdm.ErrorItem{Code: int(e.ErrorCode), Domain: text(e.ErrorDomain), Description: text(description)})
	}
	return items, nil
}

// report is the delta that a result brings: only the groups that it holds.
func (m message) report(now time.Time) (mdm.Report, error) {
	var r mdm.Report
	var err error
	if m.QueryResponses != nil {
		if r.Device, err = m.deviceFacts(now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.SecurityInfo != nil {
		if r.Security, err = m.SecurityInfo.facts(now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.ProfileList != nil {
		if r.Profiles, err = profileFacts(m.ProfileList, now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.CertificateList != nil {
		if r.Certificates, err = certificateFacts(m.CertificateList, now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.Installed != nil {
		if r.Applications, err = applicationFacts(m.Installed, now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.Managed != nil {
		if r.Managed, err = managedFacts(m.Managed, now); err != nil {
			return mdm.Report{}, err
		}
	}
	if m.Restrictions != nil {
		if r.Restrictions, err = m.Restrictions.facts(now); err != nil {
			return mdm.Report{}, err
		}
	}
	return r, nil
}

func (m message) deviceFacts(now time.Time) (*mdm.DeviceFacts, error) {
	q := m.QueryResponses
	if q.UDID != "" && !strings.EqualFold(q.UDID, m.UDID) {
		return nil, malformed("QueryResponses.UDID", "is not the phone that sends it")
	}
	// The binding of a mailbox hangs on this identifier: no cutting, no guessing.
	if len(q.EASDeviceIdentifier) > 128 {
		return nil, malformed("QueryResponses.EASDeviceIdentifier", "is longer than 128 bytes")
	}
	model := q.ModelName // "iPhone"; Model is a part number
	if model == "" {
		model = q.Model
	}
	return &mdm.DeviceFacts{
		At:          now,
		UDID:        m.UDID,
		Serial:      text(q.SerialNumber),
		Name:        text(q.DeviceName),
		Product:     text(q.ProductName),
		Model:       text(model),
		OSVersion:   text(q.OSVersion),
		Build:       text(q.BuildVersion),
		EASDeviceID: q.EASDeviceIdentifier,
		Supervised:  q.IsSupervised,

		AwaitingConfiguration: q.Awaiting,
	}, nil
}

func (s *securityInfo) facts(now time.Time) (*mdm.SecurityFacts, error) {
	facts := &mdm.SecurityFacts{
		At:                            now,
		PasscodePresent:               s.PasscodePresent,
		PasscodeCompliant:             s.PasscodeCompliant,
		PasscodeCompliantWithProfiles: s.PasscodeCompliantWithProfiles,
	}
	if caps := s.HardwareEncryptionCaps; caps != nil {
		if *caps < 0 || *caps > 255 { // Apple documents 1 to 3; the rest is room for a later bit
			return nil, malformed("SecurityInfo.HardwareEncryptionCaps", "is not between 0 and 255")
		}
		value := int(*caps)
		facts.HardwareEncryptionCaps = &value
	}
	return facts, nil
}

func profileFacts(items []profileItem, now time.Time) (*mdm.ProfileFacts, error) {
	if err := count("ProfileList", len(items)); err != nil {
		return nil, err
	}
	facts := &mdm.ProfileFacts{At: now, Items: make([]mdm.ProfileOnFile, len(items))}
	for i, item := range items {
		for field, value := range map[string]string{"PayloadIdentifier": item.PayloadIdentifier, "PayloadUUID": item.PayloadUUID} {
			if err := identifier(fmt.Sprintf("ProfileList[%d].%s", i, field), value); err != nil {
				return nil, err
			}
		}
		facts.Items[i] = mdm.ProfileOnFile{
			Identifier:  item.PayloadIdentifier,
			UUID:        strings.ToUpper(item.PayloadUUID),
			DisplayName: text(item.PayloadDisplayName),
			Managed:     item.IsManaged,
			Encrypted:   item.IsEncrypted,
		}
	}
	return facts, nil
}

func certificateFacts(items []certificateItem, now time.Time) (*mdm.CertificateFacts, error) {
	if err := count("CertificateList", len(items)); err != nil {
		return nil, err
	}
	facts := &mdm.CertificateFacts{At: now, Items: make([]mdm.CertificateOnFile, len(items))}
	for i, item := range items {
		sum := sha256.Sum256(item.Data)
		facts.Items[i] = mdm.CertificateOnFile{
			CommonName: text(item.CommonName),
			Identity:   item.IsIdentity,
			SHA256:     hex.EncodeToString(sum[:]),
			NotAfter:   notAfter(item.Data),
		}
	}
	return facts, nil
}

// notAfter is zero for a certificate that we cannot read: phones hold odd ones
// that are none of ours, and they are no reason to refuse the list.
func notAfter(der []byte) time.Time {
	if bounded.DER(der, bounded.MaxCMS, bounded.MaxDepth) != nil {
		return time.Time{}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return time.Time{}
	}
	return cert.NotAfter.UTC()
}

func count(field string, n int) error {
	if n > maxItems {
		return malformed(field, fmt.Sprintf("has more than %d entries", maxItems))
	}
	return nil
}
