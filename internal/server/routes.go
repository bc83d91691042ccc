package server

import (
	"net/http"

	"sallyport/internal/auth"
	"sallyport/internal/bounded"
	"sallyport/internal/server/console"
	"sallyport/internal/server/limit"
	amapi "sallyport/mdm/android"
	"sallyport/mdm/apple"
)

// handler answers, or returns an error that the edge turns into an answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// plane says on which listener a route stands when there are two.
type plane int

const (
	publicPlane plane = 1 << iota
	adminPlane
)

// route is one row of the table. A route is closed to everybody but the bearers
// of a token with one of its roles; only open says otherwise.
type route struct {
	method  string
	pattern string // as in api/openapi.yaml: /api/v1/users/{upn}
	plane   plane
	roles   []auth.Role
	open    bool
	gate    bool  // the token comes in X-Sallyport-Token: Authorization is a mail client's
	session bool  // a page of the console: a session's cookie stands for the token
	maxBody int64 // 0: the body is not read
	handler handler
}

const (
	small = 64 << 10 // JSON of one thing
	yaml  = 1 << 20  // templates and policies
	// A template in a JSON string: line ends and quotes take two bytes there.
	document = 2*yaml + small
	// A command in an admin's own words, the same.
	rawCommand = 2*apple.MaxRaw + small
	// As many mail clients as one request may ask about, of the usual length.
	manyClients = 1 << 20
	// PKCS#12 files in base64, as many as the command line sends at once.
	smimeFiles = 8 << 20
)

var (
	everyRole = []auth.Role{auth.Admin, auth.Operator, auth.Auditor, auth.Engine}
	readers   = []auth.Role{auth.Admin, auth.Operator, auth.Auditor}
	operators = []auth.Role{auth.Admin, auth.Operator}
	auditors  = []auth.Role{auth.Admin, auth.Auditor}
	admins    = []auth.Role{auth.Admin}
	gates     = []auth.Role{auth.Engine}
)

// consoleSession is where a token is exchanged for a session.
const consoleSession = console.Path + "/session"

// table is every route there is. api/openapi.yaml says the same; a test compares.
func (f *front) table() []route {
	const both = publicPlane | adminPlane
	return []route{
		{method: "GET", pattern: "/", plane: publicPlane, open: true, handler: f.device.Home},
		{method: "HEAD", pattern: "/", plane: publicPlane, open: true, handler: f.device.Home},
		{method: "GET", pattern: "/assets/{file}", plane: both, open: true, handler: f.device.Asset},
		{method: "GET", pattern: "/enroll/{code}", plane: publicPlane, open: true, handler: f.device.EnrollPage},
		{method: "HEAD", pattern: "/enroll/{code}", plane: publicPlane, open: true, handler: f.device.EnrollPage},
		{method: "GET", pattern: "/enroll/{code}/qr.png", plane: publicPlane, open: true, handler: f.device.QR},
		{method: "GET", pattern: "/enroll/{code}/enroll.mobileconfig", plane: publicPlane, open: true, handler: f.device.Profile},
		{method: "HEAD", pattern: "/enroll/{code}/enroll.mobileconfig", plane: publicPlane, open: true, handler: f.device.ProfileHead},
		{method: "POST", pattern: "/enroll/{code}/enroll.mobileconfig", plane: publicPlane, open: true, maxBody: 4 << 10, handler: sameOrigin(f.device.ProfileByPIN)},
		{method: "GET", pattern: "/scep", plane: publicPlane, open: true, handler: f.device.SCEPGet},
		{method: "POST", pattern: "/scep", plane: publicPlane, open: true, maxBody: bounded.MaxCMS, handler: f.device.SCEPPost},
		{method: "GET", pattern: "/crl/{file}", plane: publicPlane, open: true, handler: f.device.CRL},
		{method: "HEAD", pattern: "/crl/{file}", plane: publicPlane, open: true, handler: f.device.CRL},
		{method: "POST", pattern: "/enroll/{code}/android", plane: publicPlane, open: true, maxBody: 4 << 10, handler: sameOrigin(f.device.AndroidInvite)},
		{method: "GET", pattern: "/android/signin", plane: publicPlane, open: true, handler: f.device.AndroidSignIn},
		{method: "POST", pattern: "/android/signin", plane: publicPlane, open: true, maxBody: 8 << 10, handler: sameOrigin(f.device.AndroidSignInByCode)},
		{method: "GET", pattern: "/android/callback", plane: publicPlane, open: true, handler: f.device.AndroidCallback},
		{method: "POST", pattern: "/android/notifications/{secret}", plane: publicPlane, open: true, maxBody: amapi.MaxNotification, handler: f.device.AndroidNotification},
		{method: "GET", pattern: agentPath + "/certificates", plane: publicPlane, open: true, handler: f.device.AgentCertificates},
		{method: "POST", pattern: agentPath + "/certificates/{alias}/challenge", plane: publicPlane, open: true, maxBody: small, handler: f.device.AgentChallenge},
		{method: "POST", pattern: agentPath + "/certificates/{alias}/status", plane: publicPlane, open: true, maxBody: small, handler: f.device.AgentStatus},
		{method: "PUT", pattern: mdmPath, plane: publicPlane, open: true, maxBody: bounded.MaxPlist, handler: f.device.MDM},

		{method: "GET", pattern: "/healthz", plane: both, open: true, handler: f.health},
		{method: "GET", pattern: "/version", plane: both, open: true, handler: f.version},
		{method: "GET", pattern: "/console", plane: adminPlane, open: true, handler: f.console.Form},
		{method: "POST", pattern: consoleSession, plane: adminPlane, open: true, maxBody: 4 << 10, handler: sameOrigin(f.console.SignIn)},
		{method: "POST", pattern: "/console/session/end", plane: adminPlane, open: true, handler: sameOrigin(f.console.SignOut)},
		{method: "GET", pattern: "/console/devices", plane: adminPlane, session: true, roles: readers, handler: f.console.Devices},
		{method: "GET", pattern: "/console/devices/{id}", plane: adminPlane, session: true, roles: readers, handler: f.console.Device},
		{method: "GET", pattern: "/console/templates", plane: adminPlane, session: true, roles: readers, handler: f.console.TemplateList},
		{method: "GET", pattern: "/console/templates/{name}/preview", plane: adminPlane, session: true, roles: readers, handler: f.console.Preview},

		{method: "GET", pattern: "/metrics", plane: adminPlane, roles: readers, handler: f.metrics.serve},

		{method: "GET", pattern: "/api/v1/users", plane: adminPlane, roles: readers, handler: f.admin.ListUsers},
		{method: "POST", pattern: "/api/v1/users", plane: adminPlane, roles: operators, maxBody: small, handler: f.admin.SaveUser},
		{method: "POST", pattern: "/api/v1/users/import", plane: adminPlane, roles: operators, maxBody: bounded.MaxUpload, handler: f.admin.ImportUsers},
		{method: "GET", pattern: "/api/v1/users/{upn}", plane: adminPlane, roles: readers, handler: f.admin.GetUser},
		{method: "DELETE", pattern: "/api/v1/users/{upn}", plane: adminPlane, roles: operators, handler: f.admin.RemoveUser},

		{method: "GET", pattern: "/api/v1/users/{upn}/mailbox", plane: adminPlane, roles: readers, handler: f.admin.Mailbox},
		{method: "PUT", pattern: "/api/v1/users/{upn}/mail", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.SwitchMail},

		{method: "GET", pattern: "/api/v1/templates", plane: adminPlane, roles: readers, handler: f.admin.ListTemplates},
		{method: "POST", pattern: "/api/v1/templates", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.ApplyTemplate},
		{method: "POST", pattern: "/api/v1/templates/preview", plane: adminPlane, roles: readers, maxBody: document, handler: f.admin.PreviewTemplate},
		{method: "POST", pattern: "/api/v1/templates/check", plane: adminPlane, roles: readers, maxBody: document, handler: f.admin.CheckTemplates},
		{method: "POST", pattern: "/api/v1/templates/import", plane: adminPlane, roles: operators, maxBody: bounded.MaxUpload, handler: f.admin.ImportTemplate},
		{method: "GET", pattern: "/api/v1/templates/{name}", plane: adminPlane, roles: readers, handler: f.admin.GetTemplate},
		{method: "PUT", pattern: "/api/v1/templates/{name}/assign", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.AssignTemplate},
		{method: "GET", pattern: "/api/v1/templates/{name}/revisions", plane: adminPlane, roles: readers, handler: f.admin.ListRevisions},
		{method: "GET", pattern: "/api/v1/templates/{name}/revisions/{revision}", plane: adminPlane, roles: readers, handler: f.admin.GetRevision},
		{method: "GET", pattern: "/api/v1/templates/{name}/diff", plane: adminPlane, roles: readers, handler: f.admin.DiffTemplate},
		{method: "POST", pattern: "/api/v1/templates/{name}/rollback", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RollbackTemplate},

		{method: "GET", pattern: "/api/v1/security-policies", plane: adminPlane, roles: readers, handler: f.admin.ListSecurity},
		{method: "POST", pattern: "/api/v1/security-policies", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.ApplySecurity},
		{method: "GET", pattern: "/api/v1/security-policies/{name}", plane: adminPlane, roles: readers, handler: f.admin.GetSecurity},

		{method: "GET", pattern: "/api/v1/secrets", plane: adminPlane, roles: readers, handler: f.admin.ListSecrets},
		{method: "PUT", pattern: "/api/v1/secrets/{name}", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.SetSecret},
		{method: "DELETE", pattern: "/api/v1/secrets/{name}", plane: adminPlane, roles: admins, handler: f.admin.RemoveSecret},

		{method: "GET", pattern: "/api/v1/smime", plane: adminPlane, roles: readers, handler: f.admin.ListSMIME},
		{method: "POST", pattern: "/api/v1/smime/import", plane: adminPlane, roles: admins, maxBody: smimeFiles, handler: f.admin.ImportSMIME},
		{method: "POST", pattern: "/api/v1/smime/issue", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.IssueSMIME},
		{method: "POST", pattern: "/api/v1/smime/{id}/revoke", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RevokeSMIME},
		{method: "GET", pattern: "/api/v1/smime/exports", plane: adminPlane, roles: readers, handler: f.admin.ListSMIMEExports},
		{method: "POST", pattern: "/api/v1/smime/exports", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RequestSMIMEExport},
		{method: "POST", pattern: "/api/v1/smime/exports/{id}/approve", plane: adminPlane, roles: admins, handler: f.admin.ApproveSMIMEExport},
		{method: "POST", pattern: "/api/v1/smime/exports/{id}/take", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.TakeSMIMEExport},

		{method: "GET", pattern: "/api/v1/compliance/policies", plane: adminPlane, roles: readers, handler: f.admin.ListPolicies},
		{method: "POST", pattern: "/api/v1/compliance/policies", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.ApplyPolicy},
		{method: "GET", pattern: "/api/v1/compliance/progress", plane: adminPlane, roles: readers, handler: f.admin.GetComplianceProgress},
		{method: "GET", pattern: "/api/v1/compliance/policies/{name}", plane: adminPlane, roles: readers, handler: f.admin.GetPolicy},

		{method: "GET", pattern: "/api/v1/invitations", plane: adminPlane, roles: readers, handler: f.admin.ListInvitations},
		{method: "POST", pattern: "/api/v1/invitations", plane: adminPlane, roles: operators, maxBody: small, handler: f.admin.Invite},
		{method: "DELETE", pattern: "/api/v1/invitations/{id}", plane: adminPlane, roles: operators, handler: f.admin.RevokeInvitation},

		{method: "GET", pattern: "/api/v1/devices", plane: adminPlane, roles: everyRole, handler: f.access.ListDevices},
		{method: "GET", pattern: "/api/v1/devices/{id}", plane: adminPlane, roles: everyRole, handler: f.access.GetDevice},
		{method: "GET", pattern: "/api/v1/devices/{id}/compliance", plane: adminPlane, roles: everyRole, handler: f.access.GetCompliance},
		{method: "GET", pattern: "/api/v1/devices/{id}/actions", plane: adminPlane, roles: readers, handler: f.admin.ListActions},
		{method: "POST", pattern: "/api/v1/devices/{id}/actions", plane: adminPlane, roles: operators, maxBody: rawCommand, handler: f.admin.OrderAction},
		{method: "GET", pattern: "/api/v1/devices/{id}/actions/{action}", plane: adminPlane, roles: readers, handler: f.admin.GetAction},
		{method: "DELETE", pattern: "/api/v1/devices/{id}/actions/{action}", plane: adminPlane, roles: operators, handler: f.admin.CancelAction},
		{method: "POST", pattern: "/api/v1/devices/{id}/actions/{action}/approve", plane: adminPlane, roles: admins, handler: f.admin.ApproveAction},
		{method: "GET", pattern: "/api/v1/devices/{id}/commands", plane: adminPlane, roles: readers, handler: f.admin.ListCommands},
		{method: "GET", pattern: "/api/v1/devices/{id}/mail", plane: adminPlane, roles: readers, handler: f.admin.MailSettings},
		{method: "PUT", pattern: "/api/v1/devices/{id}/ownership", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.SetOwnership},
		{method: "GET", pattern: "/api/v1/android", plane: adminPlane, roles: readers, handler: f.admin.AndroidStatus},
		{method: "POST", pattern: "/api/v1/android/signup", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.AndroidSignup},
		{method: "GET", pattern: "/api/v1/android/doctor", plane: adminPlane, roles: readers, handler: f.admin.AndroidDoctor},
		{method: "GET", pattern: "/api/v1/android/signin", plane: adminPlane, roles: readers, handler: f.admin.AndroidWaysIn},
		{method: "GET", pattern: "/api/v1/android/companion", plane: adminPlane, roles: readers, handler: f.admin.GetCompanion},
		{method: "PUT", pattern: "/api/v1/android/companion", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.SetCompanion},
		{method: "DELETE", pattern: "/api/v1/android/companion", plane: adminPlane, roles: admins, handler: f.admin.RemoveCompanion},
		{method: "GET", pattern: "/api/v1/held-enrollments", plane: adminPlane, roles: readers, handler: f.admin.ListHeld},
		{method: "POST", pattern: "/api/v1/held-enrollments/{id}/admit", plane: adminPlane, roles: admins, handler: f.admin.AdmitHeld},
		{method: "POST", pattern: "/api/v1/held-enrollments/{id}/refuse", plane: adminPlane, roles: admins, handler: f.admin.RefuseHeld},
		{method: "POST", pattern: "/api/v1/access/decisions", plane: adminPlane, roles: everyRole, maxBody: manyClients, handler: f.access.Decide},
		{method: "GET", pattern: "/api/v1/access/explain", plane: adminPlane, roles: readers, handler: f.access.Explain},
		{method: "GET", pattern: "/api/v1/access/denials", plane: adminPlane, roles: readers, handler: f.access.ListDenials},
		{method: "GET", pattern: "/api/v1/access/denials/{id}", plane: adminPlane, roles: readers, handler: f.access.GetDenial},
		{method: "POST", pattern: "/api/v1/access/denials/{id}/replay", plane: adminPlane, roles: readers, handler: f.access.ReplayDenial},
		{method: "GET", pattern: "/api/v1/access/stream", plane: adminPlane, roles: everyRole, handler: f.access.Stream},
		{method: "GET", pattern: "/api/v1/webhooks", plane: adminPlane, roles: readers, handler: f.access.ListWebhooks},
		{method: "POST", pattern: "/api/v1/webhooks", plane: adminPlane, roles: admins, maxBody: small, handler: f.access.AddWebhook},
		{method: "DELETE", pattern: "/api/v1/webhooks/{id}", plane: adminPlane, roles: admins, handler: f.access.RemoveWebhook},
		{method: "POST", pattern: "/api/v1/webhooks/{id}/enable", plane: adminPlane, roles: admins, handler: f.access.EnableWebhook},
		{method: "POST", pattern: "/api/v1/webhooks/{id}/test", plane: adminPlane, roles: admins, handler: f.access.TestWebhook},
		{method: "GET", pattern: "/api/v1/compliance", plane: adminPlane, roles: everyRole, handler: f.access.ListChanges},

		{method: "GET", pattern: "/access/auth", plane: adminPlane, roles: gates, gate: true, handler: f.access.Auth},
		{method: "GET", pattern: "/access/why/{token}", plane: publicPlane, open: true, handler: f.device.WhyPage},
		{method: "HEAD", pattern: "/access/why/{token}", plane: publicPlane, open: true, handler: f.device.WhyPage},

		{method: "GET", pattern: "/api/v1/access/rules", plane: adminPlane, roles: readers, handler: f.admin.ListAccessRules},
		{method: "POST", pattern: "/api/v1/access/rules", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.AddAccessRule},
		{method: "DELETE", pattern: "/api/v1/access/rules/{id}", plane: adminPlane, roles: admins, handler: f.admin.RemoveAccessRule},
		{method: "PUT", pattern: "/api/v1/access/default", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.SetAccessDefault},
		{method: "GET", pattern: "/api/v1/access/policies", plane: adminPlane, roles: readers, handler: f.admin.ListAccessPolicies},
		{method: "POST", pattern: "/api/v1/access/policies", plane: adminPlane, roles: admins, maxBody: yaml, handler: f.admin.ApplyAccessPolicy},
		{method: "GET", pattern: "/api/v1/access/policies/{name}", plane: adminPlane, roles: readers, handler: f.admin.GetAccessPolicy},
		{method: "GET", pattern: "/api/v1/access/policies/{name}/shut-out", plane: adminPlane, roles: readers, handler: f.admin.ShutOutByPolicy},
		{method: "GET", pattern: "/api/v1/access/devices", plane: adminPlane, roles: readers, handler: f.admin.ListAccessDevices},
		{method: "POST", pattern: "/api/v1/access/devices/approve", plane: adminPlane, roles: operators, maxBody: small, handler: f.admin.ApproveAccess},
		{method: "POST", pattern: "/api/v1/access/devices/deny", plane: adminPlane, roles: operators, maxBody: small, handler: f.admin.DenyAccess},
		{method: "GET", pattern: "/api/v1/access/devices/{id}", plane: adminPlane, roles: readers, handler: f.admin.GetAccessDevice},
		{method: "DELETE", pattern: "/api/v1/access/devices/{id}", plane: adminPlane, roles: admins, handler: f.admin.RemoveAccessDevice},
		{method: "PUT", pattern: "/api/v1/access/devices/{id}/binding", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.BindAccess},
		{method: "DELETE", pattern: "/api/v1/access/devices/{id}/binding", plane: adminPlane, roles: admins, handler: f.admin.UnbindAccess},
		{method: "POST", pattern: "/api/v1/access/words", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.SayAccess},
		{method: "POST", pattern: "/api/v1/access/words/take-back", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.TakeBackAccess},

		{method: "GET", pattern: "/api/v1/mail", plane: adminPlane, roles: readers, handler: f.admin.MailStatus},
		{method: "POST", pattern: "/api/v1/mail/test", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.TestMail},
		{method: "GET", pattern: "/api/v1/storage", plane: adminPlane, roles: readers, handler: f.admin.TryStorage},
		{method: "GET", pattern: "/api/v1/push", plane: adminPlane, roles: readers, handler: f.admin.PushStatus},
		{method: "POST", pattern: "/api/v1/push/csr", plane: adminPlane, roles: admins, handler: f.admin.RequestPush},
		{method: "POST", pattern: "/api/v1/push/certificate", plane: adminPlane, roles: admins, maxBody: 2 * small, handler: f.admin.ImportPush},
		{method: "POST", pattern: "/api/v1/devices/{id}/push", plane: adminPlane, roles: operators, handler: f.admin.SendPush},

		{method: "GET", pattern: "/api/v1/certificates", plane: adminPlane, roles: readers, handler: f.admin.ListCertificates},
		{method: "GET", pattern: "/api/v1/certificates/{sha256}", plane: adminPlane, roles: readers, handler: f.admin.GetCertificate},
		{method: "POST", pattern: "/api/v1/certificates/{sha256}/revoke", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RevokeCertificate},
		{method: "POST", pattern: "/api/v1/scep/challenges", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.MintChallenge},

		{method: "GET", pattern: "/api/v1/tokens", plane: adminPlane, roles: auditors, handler: f.admin.ListTokens},
		{method: "POST", pattern: "/api/v1/tokens", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.CreateToken},
		{method: "DELETE", pattern: "/api/v1/tokens/{id}", plane: adminPlane, roles: admins, handler: f.admin.RevokeToken},

		{method: "GET", pattern: "/api/v1/audit", plane: adminPlane, roles: readers, handler: f.admin.ListAudit},
		{method: "GET", pattern: "/api/v1/ca", plane: adminPlane, roles: everyRole, handler: f.admin.CA},
		{method: "GET", pattern: "/api/v1/ca/authorities", plane: adminPlane, roles: readers, handler: f.admin.ListAuthorities},
		{method: "GET", pattern: "/api/v1/ca/expiry", plane: adminPlane, roles: readers, handler: f.admin.ListEndings},
		{method: "POST", pattern: "/api/v1/ca/requests", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RequestIssuing},
		{method: "POST", pattern: "/api/v1/ca/issuing", plane: adminPlane, roles: admins, maxBody: 4 * small, handler: f.admin.ImportIssuing},
		{method: "POST", pattern: "/api/v1/ca/rollover", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RolloverIssuing},
		{method: "GET", pattern: "/api/v1/ca/issuing/{fingerprint}/untold", plane: adminPlane, roles: readers, handler: f.admin.ListUntold},
		{method: "POST", pattern: "/api/v1/ca/issuing/{fingerprint}/activate", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.ActivateIssuing},
		{method: "POST", pattern: "/api/v1/ca/issuing/{fingerprint}/retire", plane: adminPlane, roles: admins, maxBody: small, handler: f.admin.RetireIssuing},
		{method: "GET", pattern: "/api/v1/reports/devices", plane: adminPlane, roles: readers, handler: f.admin.ReportDevices},
		{method: "GET", pattern: "/api/v1/reports/deployment", plane: adminPlane, roles: readers, handler: f.admin.ReportDeployment},
		{method: "GET", pattern: "/api/v1/reports/mailboxes", plane: adminPlane, roles: readers, handler: f.admin.ReportMailboxes},

		{method: "GET", pattern: "/api/v1/backup", plane: adminPlane, roles: admins, handler: f.admin.StreamBackup},
		{method: "GET", pattern: "/api/v1/openapi.yaml", plane: adminPlane, roles: everyRole, handler: openAPI},
	}
}

// actor names an open route's caller for the trail.
func actor(r *http.Request) string {
	if audienceOf(r.URL.Path) == phones || under(r.URL.Path, agentPath) {
		return "phone:" + limit.Address(r)
	}
	return "page:" + limit.Address(r)
}
