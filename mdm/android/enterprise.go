package android

import (
	"context"
	"slices"

	"google.golang.org/api/androidmanagement/v1"
)

// Enterprise is the customer at Google's, as far as we set it up.
type Enterprise struct {
	Name          string   // resource name: "enterprises/LC0…"; Google chooses it
	DisplayName   string   // shown to users, at most 100 characters
	Topic         string   // "projects/P/topics/T" which notifications go to
	Notifications []string // types of them; see NotificationTypes
	SignIn        []SignIn
}

// SignIn sends people who set up a phone to a page of ours.
type SignIn struct {
	URL      string
	Personal bool // whether a work profile may be set up; false: the whole device is managed
	Tag      string
	// Token and QR are what leads people to the page: the same for everybody, and no
	// secret, since the page asks who they are. Google makes them; they are not sent.
	Token string
	QR    string // to be drawn as the text of a QR code, unchanged
}

// Link is where a phone goes to set up its work profile.
func (s SignIn) Link() string { return enrollLink + s.Token }

// NotificationTypes are those that an enterprise of ours enables.
func NotificationTypes() []string { return []string{"ENROLLMENT", "STATUS_REPORT", "COMMAND"} }

// SignupURL begins to sign an enterprise up: the administrator opens the page,
// which leads back to callback with an enterpriseToken. name is needed then.
func (c *Client) SignupURL(ctx context.Context, callback string) (name, page string, err error) {
	answer, err := c.api.SignupUrls.Create().ProjectId(c.project).CallbackUrl(callback).Context(ctx).Do()
	if err != nil {
		return "", "", problem(err)
	}
	return answer.Name, answer.Url, nil
}

// CreateEnterprise ends what SignupURL began, and returns the enterprise with
// its name.
func (c *Client) CreateEnterprise(ctx context.Context, signupName, token string, e Enterprise) (Enterprise, error) {
	answer, err := c.api.Enterprises.Create(e.encode()).ProjectId(c.project).SignupUrlName(signupName).EnterpriseToken(token).Context(ctx).Do()
	if err != nil {
		return Enterprise{}, problem(err)
	}
	return enterpriseOf(answer), nil
}

// Enterprise returns an enterprise by its name.
func (c *Client) Enterprise(ctx context.Context, name string) (Enterprise, error) {
	answer, err := c.api.Enterprises.Get(name).Context(ctx).Do()
	if err != nil {
		return Enterprise{}, problem(err)
	}
	return enterpriseOf(answer), nil
}

// PatchEnterprise makes the enterprise what e says, and leaves alone what
// Enterprise does not name.
func (c *Client) PatchEnterprise(ctx context.Context, e Enterprise) (Enterprise, error) {
	const mask = "enterpriseDisplayName,pubsubTopic,enabledNotificationTypes,signinDetails"
	answer, err := c.api.Enterprises.Patch(e.Name, e.encode()).UpdateMask(mask).Context(ctx).Do()
	if err != nil {
		return Enterprise{}, problem(err)
	}
	return enterpriseOf(answer), nil
}

func (e Enterprise) encode() *androidmanagement.Enterprise {
	sent := &androidmanagement.Enterprise{
		EnterpriseDisplayName: e.DisplayName, PubsubTopic: e.Topic, EnabledNotificationTypes: slices.Clone(e.Notifications),
	}
	for _, s := range e.SignIn {
		sent.SigninDetails = append(sent.SigninDetails, &androidmanagement.SigninDetail{
			SigninUrl: s.URL, AllowPersonalUsage: personalUsage(s.Personal), TokenTag: s.Tag,
		})
	}
	return sent
}

func enterpriseOf(answer *androidmanagement.Enterprise) Enterprise {
	e := Enterprise{
		Name: answer.Name, DisplayName: answer.EnterpriseDisplayName, Topic: answer.PubsubTopic,
		Notifications: answer.EnabledNotificationTypes,
	}
	for _, s := range answer.SigninDetails {
		if s != nil {
			e.SignIn = append(e.SignIn, SignIn{URL: s.SigninUrl, Personal: s.AllowPersonalUsage == usageAllowed, Tag: s.TokenTag, Token: s.SigninEnrollmentToken, QR: s.QrCode})
		}
	}
	return e
}
