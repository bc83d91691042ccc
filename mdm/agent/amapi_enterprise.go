package agent

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

var topicName = regexp.MustCompile(`^projects/[a-z][a-z0-9-]{4,28}[a-z0-9]/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$`)

// createSignup makes the URL at which an admin registers the enterprise
// (https://developers.google.com/android/management/create-enterprise).
func (a *AMAPI) createSignup(c *call) (object, *apiError) {
	if e := a.ourProject(c); e != nil {
		return nil, e
	}
	callback := c.query.Get("callbackUrl")
	u, err := url.Parse(callback)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, broken("callbackUrl", "Invalid callbackUrl: an https URL is required.")
	}
	name := "signupUrls/" + a.s.id("C")
	a.s.Signups[name] = &signup{Callback: callback}
	return object{"name": name, "url": a.URL() + "/signup/" + strings.TrimPrefix(name, "signupUrls/")}, nil
}

func (a *AMAPI) ourProject(c *call) *apiError {
	switch project := c.query.Get("projectId"); project {
	case a.account.ProjectID:
		return nil
	case "":
		return broken("projectId", "Missing projectId.")
	default:
		return &apiError{code: http.StatusForbidden, status: permissionDenied, breach: true,
			message: "Caller is not authorized to manage project.", details: []any{errorInfo("USER_PROJECT_DENIED")}}
	}
}

// admin is the page that an admin fills at Google; the stand-in's says yes to
// everything and sends the browser back with the token.
func (a *AMAPI) admin(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.s.Signups["signupUrls/"+strings.TrimPrefix(r.URL.Path, "/signup/")]
	if s == nil || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	back, err := url.Parse(s.Callback)
	if err != nil {
		http.Error(w, "callback", http.StatusInternalServerError)
		return
	}
	if s.Token == "" {
		s.Token = "E" + random("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 40)
	}
	query := back.Query()
	query.Set("enterpriseToken", s.Token)
	back.RawQuery = query.Encode()
	if err := a.keep(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// createEnterprise ends a sign-up; its token is good once.
func (a *AMAPI) createEnterprise(c *call) (object, *apiError) {
	if e := a.ourProject(c); e != nil {
		return nil, e
	}
	if c.query.Get("agreementAccepted") != "" {
		return nil, broken("agreementAccepted", "Do not set this field for any customer-managed enterprise.")
	}
	s := a.s.Signups[c.query.Get("signupUrlName")]
	switch token := c.query.Get("enterpriseToken"); {
	case s == nil:
		return nil, broken("signupUrlName", "Invalid signupUrlName.")
	case token == "" || s.Token != token:
		return nil, broken("enterpriseToken", "Invalid enterpriseToken.")
	case s.Used:
		return nil, unready("The enterpriseToken was used already.")
	}
	doc, e := a.enterpriseDoc(object{}, c.body)
	if e != nil {
		return nil, e
	}
	s.Used = true
	name := "enterprises/" + a.s.id("LC")
	doc["name"], doc["enterpriseType"], doc["managedGooglePlayAccountsEnterpriseType"] = name, "MANAGED_GOOGLE_PLAY_ACCOUNTS_ENTERPRISE", "CUSTOMER_MANAGED"
	a.s.Enterprises[name] = &enterprise{Doc: doc, Policies: map[string]object{}}
	return doc, nil
}

// own is an enterprise of the caller's project. Google does not tell an
// enterprise of somebody else from none.
func (a *AMAPI) own(c *call) (*enterprise, *apiError) {
	e := a.s.Enterprises[c.enterprise()]
	if e == nil {
		return nil, &apiError{code: http.StatusForbidden, status: permissionDenied, message: "Caller is not authorized to manage enterprise."}
	}
	return e, nil
}

func (a *AMAPI) getEnterprise(c *call) (object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, no
	}
	return e.Doc, nil
}

// modifiableEnterprise leaves out what only Google writes, and what is deprecated.
var modifiableEnterprise = not("name", "enterpriseType", "managedGoogleDomainType", "managedGooglePlayAccountsEnterpriseType", "appAutoApprovalEnabled", "contactInfo")

func (a *AMAPI) patchEnterprise(c *call) (object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, no
	}
	if named := str(c.body, "name"); named != "" && named != c.enterprise() {
		return nil, broken("enterprise.name", "The name in the body is not that of the URL.")
	}
	m, no := a.schema.readMask("Enterprise", c.query.Get("updateMask"), modifiableEnterprise)
	if no != nil {
		return nil, no
	}
	doc, no := a.enterpriseDoc(e.Doc, m.apply(e.Doc, c.body, modifiableEnterprise))
	if no != nil {
		return nil, no
	}
	e.Doc = doc
	return doc, nil
}

// enterpriseDoc checks a new reading of an enterprise, and fills what Google
// makes of its sign-in pages.
func (a *AMAPI) enterpriseDoc(old, doc object) (object, *apiError) {
	doc = clone(doc)
	types := texts(doc, "enabledNotificationTypes")
	for _, one := range types {
		if one == "COMPLIANCE_REPORT" || one == "NOTIFICATION_TYPE_UNSPECIFIED" {
			return nil, broken("enterprise.enabled_notification_types", "%s is deprecated or ignored.", one)
		}
	}
	switch topic := str(doc, "pubsubTopic"); {
	case topic == "" && len(types) > 0:
		return nil, broken("enterprise.pubsub_topic", "A Pub/Sub topic is required when notifications are enabled.")
	case topic != "" && !topicName.MatchString(topic):
		return nil, broken("enterprise.pubsub_topic", "Invalid topic: projects/{project}/topics/{topic} is expected.")
	case utf8.RuneCountInString(str(doc, "enterpriseDisplayName")) > 100:
		return nil, broken("enterprise.enterprise_display_name", "More than 100 characters.")
	}
	return doc, a.signinDetails(old, doc)
}

// signinDetails gives each sign-in page its token and QR code; one that was there
// before keeps them (SigninDetail in the discovery document).
func (a *AMAPI) signinDetails(old, doc object) *apiError {
	key := func(d object) string {
		return str(d, "signinUrl") + "\x00" + str(d, "allowPersonalUsage") + "\x00" + str(d, "tokenTag")
	}
	seen, defaults := map[string]bool{}, 0
	for _, d := range list(doc, "signinDetails") {
		u, err := url.Parse(str(d, "signinUrl"))
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "":
			return broken("enterprise.signin_details.signin_url", "An https URL is required.")
		case seen[key(d)]:
			return broken("enterprise.signin_details", "Duplicate key.")
		}
		seen[key(d)] = true
		if str(d, "defaultStatus") == "SIGNIN_DETAIL_IS_DEFAULT" {
			defaults++
		}
		delete(d, "signinEnrollmentToken")
		delete(d, "qrCode")
		for _, before := range list(old, "signinDetails") {
			if key(before) == key(d) {
				d["signinEnrollmentToken"], d["qrCode"] = before["signinEnrollmentToken"], before["qrCode"]
			}
		}
		if d["signinEnrollmentToken"] == nil {
			token := tokenValue()
			d["signinEnrollmentToken"], d["qrCode"] = token, qrCode(token)
		}
	}
	if defaults > 1 {
		return broken("enterprise.signin_details", "Only one can be the default.")
	}
	return nil
}

// deleteEnterprise is for EMM-managed enterprises only, which none here is.
func (a *AMAPI) deleteEnterprise(c *call) (object, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	return nil, unready("Only EMM-managed enterprises can be deleted.")
}
