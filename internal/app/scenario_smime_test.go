package app_test

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/cms/openssltest"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// smimeScenarios are about certificates for mail, on phones that change and keys
// that are renewed.
var smimeScenarios = []scenario{
	{name: "S/MIME keys, renewed, on a new phone", play: smimeOnANewPhone, own: true},
	{name: "S/MIME keys on an old phone", play: smimeOnAnOldPhone, own: true},
	{name: "S/MIME key revoked", play: smimeRevoked, own: true},
	{name: "S/MIME asked for by looking only", play: smimeLookedAt, own: true},
}

const smimeTemplate = `name: mail
assign: everyone
accounts:
  - name: Company mail
    host: mail.example.test
    identity: scep
    smime:
      sign: {enabled: true, identity: smime}
      encrypt: {by_default: true, identity: smime}
`

// smime are the user's keys of a usage, the current one first.
func (s *scene) smime(usage string) []adminapi.SMIMEKey {
	s.Helper()
	var list adminapi.SMIMEKeys
	s.call(http.MethodGet, "/api/v1/smime?user="+s.user, "", nil, &list)
	keys := slices.DeleteFunc(list.Keys, func(k adminapi.SMIMEKey) bool { return k.Usage != usage })
	slices.SortFunc(keys, func(a, b adminapi.SMIMEKey) int { return b.NotBefore.Compare(a.NotBefore) })
	return keys
}

// letter is a message to whoever has the key, as OpenSSL encrypts it.
func (s *scene) letter(to adminapi.SMIMEKey, text string) []byte {
	s.Helper()
	var detail adminapi.CertificateDetail
	s.call(http.MethodGet, "/api/v1/certificates/"+to.SHA256, "", nil, &detail)
	box := openssltest.Open(s.T)
	encrypt := box.Command("cms", "-encrypt", "-aes256", "-binary", "-outform", "DER", box.File("to.pem", []byte(detail.PEM)))
	encrypt.Stdin = strings.NewReader(text)
	message, err := encrypt.Output()
	must(s.T, err)
	return message
}

// reads checks that the phone opens a letter.
func (s *scene) reads(p *agent.Phone, what string, message []byte, want string) {
	s.Helper()
	plain, err := p.ReadMail(message)
	must(s.T, err)
	is(s, what, string(plain), want)
}

// verified checks a phone's signature as a recipient's program would.
func (s *scene) verified(p *agent.Phone, text string) {
	s.Helper()
	signature, err := p.SignMail(s.user, []byte(text))
	must(s.T, err)
	box := openssltest.Open(s.T)
	verify := box.Command("cms", "-verify", "-binary", "-inform", "DER", "-in", box.File("letter.p7s", signature), "-content", box.File("letter.txt", []byte(text)),
		"-CAfile", box.File("ca.pem", s.authorities()), "-purpose", "smimesign", "-attime", strconv.FormatInt(s.stage.clock.now().Unix(), 10))
	out, err := verify.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(text)) {
		s.Errorf("openssl cms -verify refuses a phone's mail: %v\n%s", err, out)
	}
}

// authorities are the CA certificates as everybody can fetch them.
func (c *client) authorities() []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.local.URL+"/api/v1/ca", nil)
	must(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.local.Token.Reveal())
	resp, err := c.http.Do(req)
	must(c.t, err)
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	must(c.t, err)
	return all
}

// smimeOnANewPhone: the user's certificates come from our CA with the mail
// profile. A renewed key takes the place of the one before, without a new
// account, and mail to the old certificate is read on a phone that never had it.
func smimeOnANewPhone(s *scene) {
	s.apply(smimeTemplate)
	first := s.enrol()
	s.configured(first)
	account := show(s.T, first).Accounts[0]
	signing, encryption := s.smime("signing"), s.smime("encryption")
	if len(signing) != 1 || len(encryption) != 1 || signing[0].Source != "issued" {
		s.Fatalf("keys on record: %+v, %+v", signing, encryption)
	}
	is(s, "certificate to sign with", account.Signs, signing[0].SHA256)
	is(s, "certificates to read with", strings.Join(account.Decrypts, " "), encryption[0].SHA256)
	old := s.letter(encryption[0], "an old letter")
	s.reads(first, "mail", old, "an old letter")
	s.verified(first, "signed on a phone")

	s.pass(2 * time.Hour) // two keys within an hour are what two phones ask for at once
	s.post("/api/v1/smime/issue", adminapi.SMIMEIssueRequest{User: s.user, Usages: []string{"encryption"}}, &adminapi.SMIMEKeys{})
	s.connect(first)
	s.configured(first)
	renewed := s.smime("encryption")
	if len(renewed) != 2 || !renewed[0].Current || renewed[1].SHA256 != encryption[0].SHA256 {
		s.Fatalf("keys on record after the renewal: %+v", renewed)
	}
	account = show(s.T, first).Accounts[0]
	both := renewed[0].SHA256 + " " + renewed[1].SHA256
	is(s, "certificates to read with", strings.Join(account.Decrypts, " "), both)
	is(s, "certificate to sign with", account.Signs, signing[0].SHA256)
	is(s, "changes of the account", account.Updates, 1)
	is(s, "accounts made anew", show(s.T, first).Recreated, 0)
	s.connect(first)
	is(s, "installations", s.times(first, "InstallProfile"), 2)

	second := s.enrol()
	account = show(s.T, second).Accounts[0]
	is(s, "certificates to read with, on the new phone", strings.Join(account.Decrypts, " "), both)
	s.reads(second, "old mail on the new phone", old, "an old letter")
	s.reads(second, "new mail on the new phone", s.letter(renewed[0], "a new letter"), "a new letter")
	s.verified(second, "signed on the new phone")
	is(s, "keys on record", len(s.smime("signing"))+len(s.smime("encryption")), 3)
}

// smimeOnAnOldPhone: an iOS that knows no AES in PKCS#12 gets files that it opens.
func smimeOnAnOldPhone(s *scene) {
	s.apply(smimeTemplate)
	p := s.enrol("os=14.8.1")
	is(s, "enrolment", s.device(p).Enrollment.State, "configured") // too old for the baseline all the same
	account := show(s.T, p).Accounts[0]
	if account.Signs == "" || len(account.Decrypts) != 1 {
		s.Errorf("account: %+v", account)
	}
	s.reads(p, "mail", s.letter(s.smime("encryption")[0], "a letter"), "a letter")
}

// smimeRevoked: what is revoked signs no more; the next one is made and sent.
func smimeRevoked(s *scene) {
	s.apply(smimeTemplate)
	p := s.enrol()
	lost, read := s.smime("signing")[0], s.smime("encryption")[0]
	old := s.letter(read, "an old letter")
	s.pass(2 * time.Hour)
	for _, k := range []adminapi.SMIMEKey{lost, read} {
		s.call(http.MethodPost, "/api/v1/smime/"+k.ID+"/revoke", "application/json", []byte(`{"reason": "keyCompromise"}`), nil)
	}
	s.connect(p)
	s.configured(p)
	account := show(s.T, p).Accounts[0]
	is(s, "certificate to sign with", account.Signs, s.smime("signing")[0].SHA256)
	is(s, "the revoked one", account.Signs == lost.SHA256, false)
	is(s, "certificates to read with", len(account.Decrypts), 2)
	is(s, "the first of them", account.Decrypts[0] == read.SHA256, false)
	s.reads(p, "mail to the revoked certificate", old, "an old letter")
	s.verified(p, "signed with the next one")
}

// smimeLookedAt: previews and checks make no key.
func smimeLookedAt(s *scene) {
	s.apply(smimeTemplate)
	var seen struct{ Tree string }
	s.post("/api/v1/templates/preview", adminapi.PreviewRequest{Name: "mail", User: s.user}, &seen)
	s.told("preview", seen.Tree, "Will be issued at first delivery")
	s.post("/api/v1/templates/check", adminapi.CheckRequest{Name: "mail"}, &struct{}{})
	s.invite(adminapi.InvitationRequest{User: s.user, Ownership: "corporate"})
	is(s, "keys on record", len(s.smime("signing"))+len(s.smime("encryption")), 0)

	p := s.enrol()
	s.post("/api/v1/templates/preview", adminapi.PreviewRequest{Name: "mail", User: s.user}, &seen)
	is(s, "a preview that says when", strings.Contains(seen.Tree, "first delivery"), false)
	installed := show(s.T, p).Profiles
	s.told("preview", seen.Tree, installed[len(installed)-1].UUID)
}
