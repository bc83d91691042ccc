package adminapi

import (
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/templates"
)

// Lists come in pages: the parameter after takes the Next of the page before,
// limit takes 1 to 1000 (100 when absent). Next is empty on the last page.

// UserInput creates a user, or replaces what is on record under the same UPN:
// a field that is left out is cleared.
type UserInput struct {
	UPN         string   `json:"upn"`
	Email       string   `json:"email"`
	Username    string   `json:"username,omitempty"`
	DomainName  string   `json:"domain_name,omitempty"`
	DisplayName string   `json:"display_name,omitempty"`
	FirstName   string   `json:"first_name,omitempty"`
	MiddleName  string   `json:"middle_name,omitempty"`
	LastName    string   `json:"last_name,omitempty"`
	Groups      []string `json:"groups,omitempty"`

	SharedMailbox bool `json:"shared_mailbox,omitempty"`
}

// Users answers GET /api/v1/users. One user travels as directory.User.
type Users struct {
	Users []directory.User `json:"users"`
	Next  string           `json:"next,omitempty"`
}

// ImportResult answers POST /api/v1/users/import.
type ImportResult struct {
	Added   int `json:"added"`
	Updated int `json:"updated"`
}

// Templates answers GET /api/v1/templates. One template travels as templates.Revision.
type Templates struct {
	Templates []templates.Revision `json:"templates"`
}

// TemplateApplied answers POST /api/v1/templates; Changed is false when the
// newest revision already said the same.
type TemplateApplied struct {
	Template templates.Revision `json:"template"`
	Changed  bool               `json:"changed"`
	Warnings []*refusal.Error   `json:"warnings"` // whom assign and exclude name in vain
}

// TemplateRevisions answers GET /api/v1/templates/{name}/revisions, newest first.
type TemplateRevisions struct {
	Revisions []templates.Revision `json:"revisions"`
}

// TemplateDiff answers GET /api/v1/templates/{name}/diff.
type TemplateDiff struct {
	Name    string             `json:"name"`
	From    int                `json:"from"`
	To      int                `json:"to"`
	Changes []templates.Change `json:"changes"`
}

// RollbackRequest names the revision whose content comes back.
type RollbackRequest struct {
	Revision int `json:"revision"`
}

// AssignRequest says who gets a template. Without Exclude the exclusions stay.
type AssignRequest struct {
	Assign  *directory.Audience `json:"assign"`
	Exclude *directory.Audience `json:"exclude,omitempty"`
}

// PreviewRequest asks what one user would get: by an applied template, or by the
// YAML of one that is not.
type PreviewRequest struct {
	Name     string `json:"name,omitempty"`
	Source   string `json:"source,omitempty"`
	User     string `json:"user"`               // UPN
	Platform string `json:"platform,omitempty"` // apple when empty
	OS       string `json:"os,omitempty"`       // version; that of the user's phones when empty
}

// CheckRequest asks what everybody would get, page by page.
type CheckRequest struct {
	Name   string `json:"name,omitempty"`   // all templates when empty
	Source string `json:"source,omitempty"` // of one that is not applied
	After  string `json:"after,omitempty"`
	Limit  int    `json:"limit,omitempty"` // 1 to 1000; 100 when absent
}

// SecurityPolicies answers GET /api/v1/security-policies.
type SecurityPolicies struct {
	Policies []templates.SecurityRevision `json:"policies"`
}

// SecurityPolicyApplied answers POST /api/v1/security-policies.
type SecurityPolicyApplied struct {
	Policy   templates.SecurityRevision `json:"policy"`
	Changed  bool                       `json:"changed"`
	Warnings []*refusal.Error           `json:"warnings"` // as of a template
}

// Secrets answers GET /api/v1/secrets. No answer holds a value.
type Secrets struct {
	Secrets []templates.Secret `json:"secrets"`
}

// SecretInput sets a secret. It goes one way only.
type SecretInput struct {
	Kind  string `json:"kind"`           // password or pkcs12
	User  string `json:"user,omitempty"` // UPN; for everyone when empty
	Value string `json:"value"`          // the password, or that of the PKCS#12 file
	Data  []byte `json:"data,omitempty"` // the PKCS#12 file, base64
}

// Policies answers GET /api/v1/compliance/policies. One travels as compliance.Policy.
type Policies struct {
	Policies []compliance.Policy `json:"policies"`
}

// PolicyApplied answers POST /api/v1/compliance/policies.
type PolicyApplied struct {
	Policy   compliance.Policy `json:"policy"`
	Changed  bool              `json:"changed"`
	Warnings []*refusal.Error  `json:"warnings"` // that it asks for a mail profile which users cannot have
	Unmailed Unmailed          `json:"without_template"`
}

// PolicyPlan answers the dry run of the same.
type PolicyPlan struct {
	Impact   compliance.Impact `json:"impact"`
	Warnings []*refusal.Error  `json:"warnings"`
	Unmailed Unmailed          `json:"without_template"`
}

// Unmailed are users whom a policy asks for a mail profile though no mail template
// is assigned to them.
type Unmailed struct {
	Total int      `json:"total"`
	Users []string `json:"users"` // the first 100 by UPN
}

// ComplianceProgress answers GET /api/v1/compliance/progress: the evaluation of all
// phones that is under way, or was last.
type ComplianceProgress struct {
	Running bool `json:"running"`
	compliance.Run
}

// InvitationRequest asks for invitations: exactly one of User, Group and All.
type InvitationRequest struct {
	User      string `json:"user,omitempty"` // UPN
	Group     string `json:"group,omitempty"`
	All       bool   `json:"all,omitempty"`
	Ownership string `json:"ownership,omitempty"` // corporate, or personal when empty
	PIN       bool   `json:"pin,omitempty"`       // also ask for a PIN that is told apart from the URL
	TTL       string `json:"ttl,omitempty"`       // Go's duration form, "72h"; 7 days when empty
}

// Invitation is an invitation without its code, which nobody can read again.
type Invitation struct {
	ID          string    `json:"id"`
	User        string    `json:"user"` // UPN
	Ownership   string    `json:"ownership"`
	PINRequired bool      `json:"pin_required"`
	State       string    `json:"state"` // open, used, revoked, expired
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
	ExpiresAt   time.Time `json:"expires_at"`
	UsedAt      time.Time `json:"used_at,omitzero"`
}

// Invitations answers GET /api/v1/invitations.
type Invitations struct {
	Invitations []Invitation `json:"invitations"`
	Next        string       `json:"next,omitempty"`
}

// IssuedInvitation is told once: URL holds the code.
type IssuedInvitation struct {
	Invitation
	Email       string `json:"email"`
	DisplayName string `json:"display_name,omitempty"`
	URL         string `json:"url"`
	PIN         string `json:"pin,omitempty"`
}

// IssuedInvitations answers POST /api/v1/invitations.
type IssuedInvitations struct {
	Invitations []IssuedInvitation `json:"invitations"`
	Skipped     []SkippedUser      `json:"skipped,omitempty"` // members of the group who cannot be invited
}

// SkippedUser was meant by an invitation of several users, and left out.
type SkippedUser struct {
	User   string `json:"user"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Role  string `json:"role"`
	Owner string `json:"owner"`
	TTL   string `json:"ttl,omitempty"` // Go's duration form; 90 days when empty
}

// TokenIssued answers POST /api/v1/tokens; Token is told once.
type TokenIssued struct {
	auth.Token
	Text string `json:"token"`
}

// Tokens answers GET /api/v1/tokens.
type Tokens struct {
	Tokens []auth.Token `json:"tokens"`
}

// AuditEntries answers GET /api/v1/audit; Next is the cursor, 0 on the last page.
type AuditEntries struct {
	Entries []audit.Entry `json:"entries"`
	Next    int64         `json:"next,omitempty"`
}

// Version answers GET /version.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Health answers GET /healthz: "ok", or "unavailable" with status 503.
type Health struct {
	Status string `json:"status"`
}
