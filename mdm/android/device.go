package android

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/mdm"
)

// Limits of what is kept of a device's own words. A device tells what it likes.
const (
	maxWord     = 128 // a name, a number
	maxText     = 512 // a sentence
	maxApps     = 4096
	maxDetails  = 256
	maxStates   = 256
	maxPrevious = 64
	devicesPage = 100 // the most that Google gives at once
)

const (
	personallyOwned = "PERSONALLY_OWNED"
	companyOwned    = "COMPANY_OWNED"
	stateDeleted    = "DELETED"
	stateDisabled   = "DISABLED"
)

// Device tells of one device by its resource name.
func (c *Client) Device(ctx context.Context, name string) (Phone, error) {
	answer, err := c.api.Enterprises.Devices.Get(name).Context(ctx).Do()
	if err != nil {
		return Phone{}, problem(err)
	}
	return phoneOf(answer), nil
}

// Devices lists devices of an enterprise, a page at a time: begin with an empty
// page, and end when next is empty.
func (c *Client) Devices(ctx context.Context, enterprise, page string) (phones []Phone, next string, err error) {
	answer, err := c.api.Enterprises.Devices.List(enterprise).PageSize(devicesPage).PageToken(page).Context(ctx).Do()
	if err != nil {
		return nil, "", problem(err)
	}
	for _, d := range answer.Devices {
		if d != nil && d.Name != "" {
			phones = append(phones, phoneOf(d))
		}
	}
	return phones, answer.NextPageToken, nil
}

// SetPolicy gives a device another policy, by the last part of its name.
func (c *Client) SetPolicy(ctx context.Context, device, policy string) error {
	name := policy
	if enterprise, _, found := strings.Cut(device, "/devices/"); found {
		name = enterprise + "/policies/" + policy
	}
	_, err := c.api.Enterprises.Devices.Patch(device, &androidmanagement.Device{PolicyName: name}).UpdateMask("policyName").Context(ctx).Do()
	if err != nil {
		return problem(err)
	}
	return nil
}

// phoneOf translates Google's device. What it does not tell stays unknown.
func phoneOf(d *androidmanagement.Device) Phone {
	p := Phone{
		Name: d.Name, Ticket: clean(d.EnrollmentTokenData, maxText), Ownership: ownership(d.Ownership), Mode: mode(d.ManagementMode),
		Deleted:  d.State == stateDeleted || d.AppliedState == stateDeleted,
		Disabled: d.State == stateDisabled || d.AppliedState == stateDisabled,
		Policy:   lastPart(d.PolicyName),
	}
	for _, name := range d.PreviousDeviceNames {
		if deviceName.MatchString(name) && len(p.Previous) < maxPrevious {
			p.Previous = append(p.Previous, name)
		}
	}
	p.Device = identityOf(d)
	at := moment(d.LastStatusReportTime)
	if at.IsZero() { // it has enrolled, and not reported yet
		at = moment(d.EnrollmentTime)
	}
	p.Report = reportOf(d, p.Device, p.Mode, at)
	return p
}

// identityOf is the device itself. A personal one shows no serial number: its
// enterpriseSpecificId stays the same over factory resets (Android 12 and later).
func identityOf(d *androidmanagement.Device) mdm.Device {
	id := mdm.Device{Platform: mdm.Android}
	if h := d.HardwareInfo; h != nil {
		id.Serial, id.Product, id.Model = clean(h.SerialNumber, maxWord), clean(h.Model, maxWord), people(h.Brand, h.Model)
		id.UDID = clean(h.EnterpriseSpecificId, maxWord)
		if id.Serial == id.UDID { // Google repeats the one in the other
			id.Serial = ""
		}
	}
	switch {
	case id.UDID != "":
	case id.Serial != "":
		id.UDID = id.Serial
	default:
		id.UDID = lastPart(d.Name)
	}
	id.UDID = strings.ToUpper(id.UDID)
	return id
}

func reportOf(d *androidmanagement.Device, id mdm.Device, m Mode, at time.Time) mdm.Report {
	facts := &mdm.DeviceFacts{At: at, UDID: id.UDID, Serial: id.Serial, Product: id.Product, Model: id.Model}
	if s := d.SoftwareInfo; s != nil {
		facts.OSVersion, facts.Build = clean(s.AndroidVersion, maxWord), clean(s.AndroidBuildNumber, maxWord)
	}
	if m != "" {
		supervised := m == FullyManaged
		facts.Supervised = &supervised
	}
	return mdm.Report{
		Device: facts, Security: securityOf(d, at), Policy: policyFacts(d, at), Applications: applicationsOf(d, at),
	}
}

func securityOf(d *androidmanagement.Device, at time.Time) *mdm.SecurityFacts {
	s := &mdm.SecurityFacts{At: at}
	if settings := d.DeviceSettings; settings != nil {
		secure := settings.IsDeviceSecure
		s.PasscodePresent = &secure
		s.Encrypted = encrypted(settings.EncryptionStatus)
	}
	if d.AppliedPolicyName != "" {
		kept := !slices.ContainsFunc(d.NonComplianceDetails, func(n *androidmanagement.NonComplianceDetail) bool {
			return n != nil && (n.SettingName == "passwordPolicies" || n.SettingName == "passwordRequirements")
		})
		s.PasscodeCompliant = &kept
	}
	s.Posture, s.Risks = postureOf(d.SecurityPosture)
	return s
}

// encrypted: ACTIVE_DEFAULT_KEY, too, is encryption, under a key that no
// passcode guards.
func encrypted(status string) *bool {
	var is bool
	switch status {
	case "ACTIVE", "ACTIVE_DEFAULT_KEY", "ACTIVE_PER_USER":
		is = true
	case "UNSUPPORTED", "INACTIVE", "ACTIVATING":
	default:
		return nil
	}
	return &is
}

func postureOf(p *androidmanagement.SecurityPosture) (posture mdm.Posture, risks []string) {
	if p == nil {
		return "", nil
	}
	switch p.DevicePosture {
	case "SECURE":
		posture = mdm.PostureSecure
	case "AT_RISK":
		posture = mdm.PostureAtRisk
	case "POTENTIALLY_COMPROMISED":
		posture = mdm.PostureCompromised
	}
	for _, detail := range p.PostureDetails {
		if detail != nil && detail.SecurityRisk != "" && len(risks) < maxDetails {
			risks = append(risks, clean(detail.SecurityRisk, maxWord))
		}
	}
	return posture, risks
}

func policyFacts(d *androidmanagement.Device, at time.Time) *mdm.PolicyFacts {
	compliant := d.PolicyCompliant
	f := &mdm.PolicyFacts{
		At: at, Name: lastPart(d.PolicyName), Applied: lastPart(d.AppliedPolicyName), Version: d.AppliedPolicyVersion, Compliant: &compliant,
		Ownership: toldOwnership(d.Ownership),
	}
	for _, n := range d.NonComplianceDetails {
		if n != nil && len(f.Broken) < maxDetails {
			f.Broken = append(f.Broken, nonconformityOf(n))
		}
	}
	for _, app := range d.ApplicationReports {
		if app == nil {
			continue
		}
		for _, s := range app.KeyedAppStates {
			if s == nil || len(f.AppStates) >= maxStates {
				continue
			}
			f.AppStates = append(f.AppStates, mdm.AppState{
				Package: clean(app.PackageName, maxWord), Key: clean(s.Key, maxWord), Error: s.Severity == "ERROR",
				Message: clean(s.Message, maxText), At: moment(s.LastUpdateTime),
			})
		}
	}
	return f
}

// applicationsOf is nil where the device tells of no apps at all: its policy
// does not ask for them, or it has not reported yet.
func applicationsOf(d *androidmanagement.Device, at time.Time) *mdm.ApplicationFacts {
	if d.ApplicationReports == nil {
		return nil
	}
	f := &mdm.ApplicationFacts{At: at, Items: []mdm.ApplicationOnFile{}}
	for _, app := range d.ApplicationReports {
		if app == nil || app.State == "REMOVED" || app.PackageName == "" || len(f.Items) >= maxApps {
			continue
		}
		f.Items = append(f.Items, mdm.ApplicationOnFile{
			Identifier: clean(app.PackageName, maxWord), Name: clean(app.DisplayName, maxWord), Version: clean(app.VersionName, maxWord),
		})
	}
	return f
}

func mode(name string) Mode {
	switch name {
	case "DEVICE_OWNER":
		return FullyManaged
	case "PROFILE_OWNER":
		return WorkProfile
	}
	return ""
}

// ownership: what Google does not say is a person's own, so that it is never
// erased for a guess.
func ownership(name string) mdm.Ownership {
	if name == companyOwned {
		return mdm.Corporate
	}
	return mdm.Personal
}

// toldOwnership is what Google does say: nothing may be taken from a device because
// somebody guessed that it is its user's own.
func toldOwnership(name string) mdm.Ownership {
	switch name {
	case companyOwned:
		return mdm.Corporate
	case personallyOwned:
		return mdm.Personal
	}
	return ""
}

func lastPart(name string) string { return clean(name[strings.LastIndexByte(name, '/')+1:], maxWord) }

// people is what a device is called: "Google Pixel 8".
func people(brand, model string) string {
	brand, model = clean(brand, maxWord), clean(model, maxWord)
	if brand == "" || strings.HasPrefix(strings.ToLower(model), strings.ToLower(brand)+" ") {
		return model
	}
	r := []rune(brand)
	r[0] = unicode.ToUpper(r[0])
	return strings.TrimSpace(string(r) + " " + model)
}

// clean keeps a device's words to one short line.
func clean(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "")
	}
	return strings.TrimSpace(text)
}

// moment reads Google's time; zero where there is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
