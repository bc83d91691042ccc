package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"sallyport/enroll"
	"sallyport/internal/lapse"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/apple/apns"
)

type pushCmd struct {
	CSR    pushCSRCmd    `cmd:"" name:"csr" help:"Make a key on the server and a request for Apple's push certificate."`
	Import pushImportCmd `cmd:"" help:"Check the push certificate that Apple issued, and put it to use."`
	Status pushStatusCmd `cmd:"" help:"Show what push can do now, and when the certificate ends."`
	Send   pushSendCmd   `cmd:"" help:"Wake one phone now, and show what the push service says."`
}

type pushCSRCmd struct {
	VendorCert string `help:"PEM file of your MDM vendor certificate, with Apple's intermediate and root after it." placeholder:"FILE"`
	VendorKey  string `help:"PEM file of its key: it is used on this machine and sent nowhere." placeholder:"FILE"`
	Out        string `short:"O" help:"Where to write it; standard output when left away." placeholder:"FILE"`
}

// Help is the detail under the usage line.
func (*pushCSRCmd) Help() string {
	return `Apple takes a request only when an MDM vendor has signed it. With a vendor certificate of your own, what is written is ready for identity.apple.com; without, it is the plain request for whoever signs it, for example mdmcert.download. The key never leaves the server. See docs/push-certificate.md.`
}

func (c *pushCSRCmd) Run(p *program) error {
	if (c.VendorCert == "") != (c.VendorKey == "") {
		return usageError{"--vendor-cert and --vendor-key come together"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	// Before the server makes a key for nothing.
	if _, err := os.Lstat(c.Out); c.Out != "" && err == nil {
		return fmt.Errorf("write request: %s is there already (name another file, or remove that one)", c.Out)
	}
	var vendor *apns.Vendor
	if c.VendorCert != "" {
		if vendor, err = p.vendor(c.VendorCert, c.VendorKey); err != nil {
			return err
		}
	}
	var answer adminapi.PushRequest
	if err := api.call(p.ctx, http.MethodPost, "/api/v1/push/csr", "", nil, &answer); err != nil {
		return err
	}
	text, next := []byte(answer.CSR), "have it signed by an MDM vendor, then upload what comes back to identity.apple.com/pushcert"
	if vendor != nil {
		if text, err = vendor.Sign(text); err != nil {
			return err
		}
		text, next = append(text, '\n'), "upload it to identity.apple.com/pushcert (where phones are enrolled: Renew the same entry, never Create)"
	}
	if err := p.write(c.Out, text); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "next: %s; then sallyport push import FILE\n", next)
	return nil
}

func (p *program) vendor(certFile, keyFile string) (*apns.Vendor, error) {
	certificates, err := p.readFile(certFile, apns.MaxCertificate)
	if err != nil {
		return nil, err
	}
	key, err := p.readFile(keyFile, apns.MaxCertificate)
	if err != nil {
		return nil, err
	}
	v, err := apns.ParseVendor(certificates, key, p.now())
	return &v, err
}

// write puts text into a file that is not there yet, or on standard output.
func (p *program) write(file string, text []byte) error {
	if file == "" {
		_, err := p.stdout.Write(text)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, reason(err))
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

type pushImportCmd struct {
	File         string `arg:"" help:"The file that identity.apple.com gave you (PEM); - for standard input."`
	DryRun       bool   `help:"Check it, and change nothing."`
	ReplaceTopic int    `help:"Give up so many enrolled phones, which hold another topic: the number that the refusal names." placeholder:"PHONES"`
	Output
}

func (c *pushImportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	text, err := p.readFile(c.File, apns.MaxCertificate)
	if err != nil {
		return err
	}
	var s enroll.PushStatus
	in := adminapi.PushCertificate{Certificate: string(text), ReplaceTopic: c.ReplaceTopic, DryRun: c.DryRun}
	if err := api.post(p.ctx, "/api/v1/push/certificate", in, &s); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, s)
	}
	done := "push certificate in use"
	if c.DryRun {
		done = "push certificate fits; nothing was changed"
	}
	fmt.Fprintf(p.stdout, "%s: %s, until %s (%d days)\n", done, cell(s.Topic), stamp(s.NotAfter), s.DaysLeft)
	for _, lack := range s.Lacks {
		fmt.Fprintf(p.stdout, "still: %s\n", cell(lack))
	}
	return nil
}

type pushStatusCmd struct{ Output }

func (c *pushStatusCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var s enroll.PushStatus
	if err := api.get(p.ctx, "/api/v1/push", nil, &s); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, s)
	}
	return printPush(p.stdout, s)
}

func printPush(w io.Writer, s enroll.PushStatus) error {
	lines := []fact{
		{"certificate", pushCertificateFact(s)}, {"topic", s.Topic}, {"serial", s.Serial}, {"issuer", s.Issuer},
		{"last request", stamp(s.RequestedAt)},
		{"phones", fmt.Sprintf("%d active: %d can be woken, %d only poll, %d hold another topic, %d have a dead token",
			s.Phones.Active, s.Phones.Reachable, s.Phones.PollOnly, s.Phones.OtherTopic, s.Phones.Dead)},
		{"due", strconv.Itoa(s.Phones.Due)}, {"last push", stamp(s.Phones.LastPushAt)},
	}
	for _, group := range []struct {
		name string
		all  []string
	}{{"works", s.Works}, {"lacks", s.Lacks}} {
		for _, text := range group.all {
			lines = append(lines, fact{group.name, text})
		}
	}
	return facts(w, append(lines, fact{"next", s.Next})...)
}

func pushCertificateFact(s enroll.PushStatus) string {
	switch s.Stage {
	case "":
		return "none"
	case lapse.Expired:
		return "expired on " + stamp(s.NotAfter)
	case lapse.Fine, lapse.Days60, lapse.Days30, lapse.Days7:
	}
	return fmt.Sprintf("good until %s (%d days)", stamp(s.NotAfter), s.DaysLeft)
}

type pushSendCmd struct {
	Device string `arg:"" help:"ID of the phone, or its ActiveSync DeviceId."`
	Output
}

func (c *pushSendCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	d, err := p.device(api, c.Device)
	if err != nil {
		return err
	}
	var pushed adminapi.Pushed
	if err := api.call(p.ctx, http.MethodPost, "/api/v1/devices/"+url.PathEscape(d.ID)+"/push", "", nil, &pushed); err != nil {
		return err
	}
	if c.json() {
		if err := printJSON(p.stdout, pushed); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(p.stdout, spokenPush(pushed))
	}
	if pushed.Outcome != apns.Accepted {
		return errQuiet
	}
	return nil
}

func spokenPush(r adminapi.Pushed) string {
	words := map[apns.Outcome]string{
		apns.Accepted:       "accepted: the phone connects as soon as the push reaches it",
		apns.Dead:           "dead token: the phone is no longer under this management, or was erased; its enrolment stays as it is",
		apns.WrongTopic:     "wrong topic: the phone enrolled under another push certificate, and has to enrol again",
		apns.BadCertificate: "the push service refuses our certificate: see sallyport push status",
		apns.Later:          "not now: it will be tried again",
		apns.Refused:        "refused: this push can never pass",
	}
	text := words[r.Outcome]
	var detail []string
	for _, d := range []string{r.Reason, r.APNSID} {
		if d != "" {
			detail = append(detail, d)
		}
	}
	if len(detail) > 0 {
		text += " (" + strings.Join(detail, ", ") + ")"
	}
	return cell(text)
}

// pushChecks is the doctor's word on push, for who may ask.
func pushChecks(p *program, api *client) []check {
	const name = "push certificate"
	var s enroll.PushStatus
	if err := api.get(p.ctx, "/api/v1/push", nil, &s); err != nil {
		return nil // the token's line has said why
	}
	c := check{Name: name, Grade: good, Fact: pushCertificateFact(s), Next: s.Next}
	if s.Stage != "" {
		c.Fact += fmt.Sprintf("; phones that it wakes: %d of %d", s.Phones.Reachable, s.Phones.Active)
	}
	switch s.Stage {
	case "":
		c.Grade, c.Fact = gap, "no push certificate. Works: "+strings.Join(s.Works, "; ")+". Does not: "+strings.Join(s.Lacks, "; ")
	case lapse.Expired:
		c.Grade = broken
	case lapse.Days7, lapse.Days30, lapse.Days60:
		c.Grade = warn
	case lapse.Fine:
		if s.Next != "" {
			c.Grade, c.Fact = warn, c.Fact+"; "+strings.Join(s.Lacks, "; ")
		}
	}
	return []check{c}
}
