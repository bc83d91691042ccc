package android

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/internal/secret"
	"sallyport/mdm"
)

const (
	usageAllowed    = "PERSONAL_USAGE_ALLOWED"
	usageDisallowed = "PERSONAL_USAGE_DISALLOWED"
	minTokenTTL     = time.Minute
)

// TokenRequest asks for an enrolment token.
type TokenRequest struct {
	Policy string // last part of the name of the policy that the device gets first
	// Ticket comes back as Phone.Ticket. It is no secret: whoever reads the device
	// at Google's reads it.
	Ticket string
	// Personal: the device keeps a part that is its user's own; false: the whole
	// device is managed, which works only from the first screen after a factory reset.
	Personal bool
	TTL      time.Duration // at least one minute
}

// Token enrols one device, once.
type Token struct {
	Name      string       // resource name, for DeleteToken
	Value     secret.Value // ends the link https://enterprise.google.com/android/enroll?et=
	QR        secret.Value // to be drawn as the text of a QR code, unchanged
	ExpiresAt time.Time
}

// Link is where a phone goes to set up its work profile. It holds the token.
func (t Token) Link() secret.Value {
	return secret.New(enrollLink + t.Value.Reveal())
}

const enrollLink = "https://enterprise.google.com/android/enroll?et=" // and a token

// InvalidLink ends the sign-in of somebody whom we do not let enrol.
const InvalidLink = "https://enterprise.google.com/android/enroll/invalid"

// CreateToken mints a token for one device.
func (c *Client) CreateToken(ctx context.Context, enterprise string, q TokenRequest) (Token, error) {
	answer, err := c.api.Enterprises.EnrollmentTokens.Create(enterprise, &androidmanagement.EnrollmentToken{
		PolicyName: enterprise + "/policies/" + q.Policy, AdditionalData: q.Ticket, OneTimeOnly: true,
		AllowPersonalUsage: personalUsage(q.Personal),
		Duration:           strconv.FormatInt(int64(max(q.TTL, minTokenTTL)/time.Second), 10) + "s",
	}).Context(ctx).Do()
	if err != nil {
		return Token{}, problem(err)
	}
	t := Token{Name: answer.Name, Value: secret.New(answer.Value), QR: secret.New(answer.QrCode), ExpiresAt: moment(answer.ExpirationTimestamp)}
	if t.Name == "" || t.Value.IsZero() {
		return Token{}, halfAnswer(errors.New("enrolment token without name or value"))
	}
	return t, nil
}

// DeleteToken makes a token worthless. One that is gone already is no error.
func (c *Client) DeleteToken(ctx context.Context, name string) error {
	_, err := c.api.Enterprises.EnrollmentTokens.Delete(name).Context(ctx).Do()
	return gone(err)
}

// provisioningID is what may stand in the address of a set-up: it comes from
// whoever opens our sign-in page.
var provisioningID = regexp.MustCompile(`^[A-Za-z0-9_=.~-]{1,512}$`)

// Provisioning is what Google tells of a device on whose behalf our sign-in page
// was opened.
type Provisioning struct {
	Enterprise string
	Model      string // brand and model, for people
	OSLevel    int    // Android API level
	Ownership  mdm.Ownership
	Mode       Mode   // empty: Google does not say
	Serial     string // company-owned devices only
}

// ProvisioningInfo tells of a device that is being set up, by the id that came
// with the sign-in page's provisioningInfo.
func (c *Client) ProvisioningInfo(ctx context.Context, id string) (Provisioning, error) {
	id = strings.TrimPrefix(id, "provisioningInfo/")
	if !provisioningID.MatchString(id) {
		return Provisioning{}, &Problem{Code: http.StatusNotFound, Plain: "the phone's set-up is not known", Next: "begin again on the phone"}
	}
	answer, err := c.api.ProvisioningInfo.Get("provisioningInfo/" + id).Context(ctx).Do()
	if err != nil {
		return Provisioning{}, problem(err)
	}
	return Provisioning{
		Enterprise: answer.Enterprise, Model: people(answer.Brand, answer.Model), OSLevel: int(answer.ApiLevel),
		Ownership: ownership(answer.Ownership), Mode: mode(answer.ManagementMode), Serial: clean(answer.SerialNumber, maxWord),
	}, nil
}

func personalUsage(allowed bool) string {
	if allowed {
		return usageAllowed
	}
	return usageDisallowed
}
