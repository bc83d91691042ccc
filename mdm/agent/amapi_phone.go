package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// What phones in software say to the stand-in: a protocol of its own, since
// Google's between its server and Android Device Policy is not public.

// phoneIdentity is what a phone tells of itself when it is set up.
type phoneIdentity struct {
	Hardware     string `json:"hardware"` // stands for what Google knows a phone by
	Serial       string `json:"serial"`
	IMEI         string `json:"imei,omitempty"`
	Brand        string `json:"brand"`
	Model        string `json:"model"`
	Manufacturer string `json:"manufacturer"`
	API          int    `json:"api_level"`
	Fresh        bool   `json:"fresh"`   // at the first screen after a factory reset
	Private      bool   `json:"private"` // it really belongs to a person, which Google cannot know
}

// enrolRequest is a token, by link or QR code.
type enrolRequest struct {
	Token string        `json:"token"`
	Phone phoneIdentity `json:"phone"`
}

// enrolAnswer sends the phone to a sign-in page, or makes it a device.
type enrolAnswer struct {
	SigninURL  string `json:"signin_url,omitempty"`
	Device     string `json:"device,omitempty"`
	Secret     string `json:"secret,omitempty"`
	Mode       string `json:"mode,omitempty"`
	Ownership  string `json:"ownership,omitempty"`
	SpecificID string `json:"specific_id,omitempty"` // enterpriseSpecificId
}

// syncRequest is one exchange of a managed phone: what it did and is, if it has
// something to tell.
type syncRequest struct {
	Device  string          `json:"device"`
	Secret  string          `json:"secret"`
	Results []commandResult `json:"results,omitempty"`
	Report  json.RawMessage `json:"report,omitempty"` // Device, as far as the phone writes it
	// Farewell: management is gone from the phone, and this is the notification by
	// which Google tells: ENROLLMENT or STATUS_REPORT.
	Farewell string `json:"farewell,omitempty"`
	Fetch    bool   `json:"fetch,omitempty"` // hand out policy and commands
}

// commandResult is what became of a command.
type commandResult struct {
	Operation string          `json:"operation"`
	ErrorCode string          `json:"error_code,omitempty"` // of Command.errorCode; empty: done
	Status    json.RawMessage `json:"status,omitempty"`     // fields of Command that the device fills
}

// syncAnswer is what the phone should have and do.
type syncAnswer struct {
	Policy   json.RawMessage `json:"policy,omitempty"`
	State    string          `json:"state"` // ACTIVE or DISABLED
	Wipe     bool            `json:"wipe,omitempty"`
	Commands []phoneCommand  `json:"commands,omitempty"`
}

type phoneCommand struct {
	Operation string          `json:"operation"`
	Command   json.RawMessage `json:"command"`
}

// errSide is a refusal to a phone.
type errSide struct {
	status int
	text   string
}

func (e *errSide) Error() string { return e.text }

func turnAway(status int, format string, args ...any) error {
	return &errSide{status, fmt.Sprintf(format, args...)}
}

// enrol takes a token: of a sign-in page it sends the phone there, of an
// enrolment it makes a device.
func (a *AMAPI) enrol(in enrolRequest) (enrolAnswer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, e := range a.s.Enterprises {
		for _, d := range list(e.Doc, "signinDetails") {
			if str(d, "signinEnrollmentToken") == in.Token {
				return a.toSignin(name, d, in.Phone)
			}
		}
	}
	var t *enrolmentToken
	for _, one := range a.s.Tokens {
		if subtle.ConstantTimeCompare([]byte(str(one.Doc, "value")), []byte(in.Token)) == 1 {
			t = one
		}
	}
	switch {
	case t == nil || !a.o.Now().Before(t.Expires):
		return enrolAnswer{}, turnAway(http.StatusNotFound, "the token is not known, or has expired")
	case t.Used:
		return enrolAnswer{}, turnAway(http.StatusConflict, "the token was used already")
	}
	mode, ownership, err := managedAs(str(t.Doc, "allowPersonalUsage"), in.Phone)
	if err != nil {
		return enrolAnswer{}, err
	}
	if yes(t.Doc, "oneTimeOnly") {
		t.Used = true
	}
	d := a.newDevice(t, in.Phone, mode, ownership)
	a.publish(d.Enterprise, "ENROLLMENT", "Device", d.Doc)
	out := enrolAnswer{Device: str(d.Doc, "name"), Secret: d.Secret, Mode: mode, Ownership: ownership, SpecificID: str(inner(d.Doc, "hardwareInfo"), "enterpriseSpecificId")}
	return out, a.keep()
}

// managedAs decides what a token makes of a phone (EnrollmentToken.allowPersonalUsage).
func managedAs(usage string, p phoneIdentity) (mode, ownership string, err error) {
	personal := usage == "PERSONAL_USAGE_ALLOWED"
	switch {
	case p.Fresh && personal:
		return profileOwner, companyOwned, nil
	case p.Fresh:
		return deviceOwner, companyOwned, nil
	case personal:
		return profileOwner, personallyOwned, nil
	}
	return "", "", turnAway(http.StatusForbidden, "personal usage cannot be disabled on a phone that a person has set up")
}

func (a *AMAPI) toSignin(enterprise string, d object, p phoneIdentity) (enrolAnswer, error) {
	mode, ownership, err := managedAs(str(d, "allowPersonalUsage"), p)
	if err != nil && str(d, "allowPersonalUsage") != "" {
		return enrolAnswer{}, err
	}
	if err != nil {
		mode, ownership = profileOwner, personallyOwned
	}
	id := a.s.id("PI")
	doc := object{
		"name": "provisioningInfo/" + id, "enterprise": enterprise, "apiLevel": numberOf(p.API), "brand": p.Brand, "model": p.Model,
		"managementMode": mode, "ownership": ownership,
	}
	if ownership == companyOwned {
		doc["serialNumber"], doc["imei"] = p.Serial, strings.ReplaceAll(p.IMEI, " ", "")
	}
	a.s.Provisioning["provisioningInfo/"+id] = &provisioning{Doc: doc}
	u, err := url.Parse(str(d, "signinUrl"))
	if err != nil {
		return enrolAnswer{}, err
	}
	query := u.Query()
	query.Set("provisioningInfo", id)
	u.RawQuery = query.Encode()
	return enrolAnswer{SigninURL: u.String()}, a.keep()
}

// newDevice makes a device of a phone. One that was enrolled here before has a
// new name, and lists the old ones.
func (a *AMAPI) newDevice(t *enrolmentToken, p phoneIdentity, mode, ownership string) *managedDevice {
	name := t.Enterprise + "/devices/" + a.s.id("3")
	hardware := object{"brand": p.Brand, "model": p.Model, "manufacturer": p.Manufacturer, "hardware": strings.ToLower(p.Model), "serialNumber": p.Serial}
	if ownership == personallyOwned && p.API >= 31 {
		sum := sha256.Sum256([]byte(t.Enterprise + "\x00" + p.Hardware))
		id := strings.ToUpper(hex.EncodeToString(sum[:8]))
		hardware["enterpriseSpecificId"], hardware["serialNumber"] = id, id
	}
	now := a.now()
	doc := object{
		"name": name, "state": stateActive, "appliedState": stateActive, "managementMode": mode, "ownership": ownership, "policyName": t.Doc["policyName"],
		"enrollmentTime": now, "enrollmentTokenName": t.Doc["name"], "apiLevel": numberOf(p.API), "hardwareInfo": hardware,
		"userName": t.Enterprise + "/users/" + a.s.id("1"), "lastStatusReportTime": now,
	}
	if data := str(t.Doc, "additionalData"); data != "" {
		doc["enrollmentTokenData"] = data
	}
	var before []string
	for old, d := range a.s.Devices {
		if d.Hardware == p.Hardware && d.Enterprise == t.Enterprise {
			before = append(before, old)
		}
	}
	if len(before) > 0 {
		slices.Sort(before) // the ID counts up
		doc["previousDeviceNames"] = anyOf(before)
	}
	d := &managedDevice{Doc: plain(doc), Enterprise: t.Enterprise, Secret: random("0123456789abcdef", 32), Hardware: p.Hardware, Private: p.Private}
	a.s.Devices[name] = d
	return d
}

func anyOf(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}

// sync is one exchange with a managed phone.
func (a *AMAPI) sync(in syncRequest) (syncAnswer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.s.Devices[in.Device]
	if d == nil || subtle.ConstantTimeCompare([]byte(d.Secret), []byte(in.Secret)) != 1 {
		return syncAnswer{}, turnAway(http.StatusNotFound, "the device is not known")
	}
	a.tellLate(d)
	for _, r := range in.Results {
		if err := a.settled(d, r); err != nil {
			return syncAnswer{}, err
		}
	}
	if len(in.Report) > 0 {
		if err := a.reported(d, in); err != nil {
			return syncAnswer{}, err
		}
	}
	out := syncAnswer{State: str(d.Doc, "state"), Wipe: d.Wipe}
	if in.Fetch && !d.Deleted {
		if err := a.fetched(d, &out); err != nil {
			return syncAnswer{}, err
		}
	}
	return out, a.keep()
}

func (a *AMAPI) settled(d *managedDevice, r commandResult) error {
	o := a.s.Operations[r.Operation]
	if o == nil || !strings.HasPrefix(r.Operation, operationsOf(d)) {
		return turnAway(http.StatusBadRequest, "the operation is not known")
	}
	if yes(o.Doc, "done") {
		return nil // expired or cancelled meanwhile
	}
	if len(r.Status) > 0 {
		status, err := readObject(r.Status)
		if err != nil {
			return turnAway(http.StatusBadRequest, "status: %v", err)
		}
		for field, v := range status {
			inner(o.Doc, "metadata")[field] = v
		}
	}
	a.settle(o, r.ErrorCode)
	d.Commands = slices.DeleteFunc(d.Commands, func(name string) bool { return name == r.Operation })
	a.publish(d.Enterprise, "COMMAND", "Operation", o.Doc)
	return nil
}

// operationsOf is what the names of a device's operations begin with.
func operationsOf(d *managedDevice) string { return str(d.Doc, "name") + "/operations/" }

// phoneWrites are the fields of Device that come from the phone.
var phoneWrites = only("appliedState", "appliedPolicyName", "appliedPolicyVersion", "policyCompliant", "nonComplianceDetails", "applicationReports",
	"deviceSettings", "securityPosture", "softwareInfo", "apiLevel", "appliedPasswordPolicies")

func (a *AMAPI) reported(d *managedDevice, in syncRequest) error {
	report, err := readObject(in.Report)
	if err != nil {
		return turnAway(http.StatusBadRequest, "report: %v", err)
	}
	for field := range report {
		if !phoneWrites(field) {
			return turnAway(http.StatusBadRequest, "report: a phone does not write %s", field)
		}
	}
	if no := a.schema.checkMessage("Device", report, ""); no != nil {
		return turnAway(http.StatusBadRequest, "report: %s", no.message)
	}
	d.Doc = mask(nil).apply(d.Doc, report, phoneWrites)
	d.Doc["lastStatusReportTime"] = a.now()
	kind := "STATUS_REPORT"
	if in.Farewell != "" {
		kind = in.Farewell
		d.Deleted, d.Wipe = true, false
		d.Doc["state"], d.Doc["appliedState"] = stateDeleted, stateDeleted
	}
	a.publish(d.Enterprise, kind, "Device", d.Doc)
	return nil
}

// fetched hands out the policy and the commands that wait.
func (a *AMAPI) fetched(d *managedDevice, out *syncAnswer) error {
	policy := a.s.Enterprises[d.Enterprise].Policies[lastPart(str(d.Doc, "policyName"))]
	var err error
	if out.Policy, err = json.Marshal(policy); err != nil {
		return err
	}
	for _, name := range d.Commands {
		command, err := json.Marshal(inner(a.s.Operations[name].Doc, "metadata"))
		if err != nil {
			return err
		}
		out.Commands = append(out.Commands, phoneCommand{Operation: name, Command: command})
	}
	d.Doc["lastPolicySyncTime"] = a.now()
	return nil
}
