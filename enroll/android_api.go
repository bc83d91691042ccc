package enroll

import (
	"context"

	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// AndroidEnterprises is the part of Google's API by which an organisation signs up.
type AndroidEnterprises interface {
	SignupURL(ctx context.Context, callback string) (name, page string, err error)
	CreateEnterprise(ctx context.Context, signupName, token string, e android.Enterprise) (android.Enterprise, error)
	Enterprise(ctx context.Context, name string) (android.Enterprise, error)
	PatchEnterprise(ctx context.Context, e android.Enterprise) (android.Enterprise, error)
	ProvisioningInfo(ctx context.Context, id string) (android.Provisioning, error)
}

// AndroidTokens is the part by which phones are let in.
type AndroidTokens interface {
	CreateToken(ctx context.Context, enterprise string, q android.TokenRequest) (android.Token, error)
	DeleteToken(ctx context.Context, name string) error
}

// AndroidPolicies is the part by which phones are told what to have. The versions
// that it answers are those of the policy after the change.
type AndroidPolicies interface {
	PatchPolicy(ctx context.Context, name string, p android.Policy) (version int64, err error)
	ModifyApplications(ctx context.Context, name string, apps []android.Application) (version int64, err error)
	DeletePolicy(ctx context.Context, name string) error
	SetPolicy(ctx context.Context, device, policy string) error
	Schema(ctx context.Context, enterprise string, app string) (managedconfig.Schema, error)
}

// AndroidDevices is the part by which phones are told to act, and looked at.
type AndroidDevices interface {
	Device(ctx context.Context, name string) (android.Phone, error)
	Devices(ctx context.Context, enterprise, pageToken string) (phones []android.Phone, next string, err error)
	Issue(ctx context.Context, t android.Target, c android.Command) (operation string, err error)
	Operation(ctx context.Context, name string) (android.Outcome, error)
	Delete(ctx context.Context, t android.Target, reason string) error
}

// AndroidRecalls is the part by which commands are taken back.
type AndroidRecalls interface {
	Cancel(ctx context.Context, operation string) error
}

// AndroidAPI is Google's API for one service account. *android.Client is all of it.
type AndroidAPI struct {
	AndroidEnterprises
	AndroidTokens
	AndroidPolicies
	AndroidDevices
	AndroidRecalls
}

// AndroidClient is the API of a client.
func AndroidClient(c *android.Client) AndroidAPI { return AndroidAPI{c, c, c, c, c} }
