package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

type profileBuildCmd struct {
	Template     string            `required:"" help:"The template, YAML." placeholder:"FILE"`
	User         string            `required:"" help:"The user, YAML: the fields of a user, and of the phone below device." placeholder:"FILE"`
	Platform     string            `help:"apple (a .mobileconfig); gmail, outlook, samsung or nine on Android, or outlook-ios (managed configuration, JSON)." enum:"apple,gmail,outlook,outlook-ios,samsung,nine" default:"apple"`
	OS           string            `name:"os" help:"Version of the phone's system, for the report on what it lacks (default: that of device in --user, or the newest)." placeholder:"VERSION"`
	SignCert     string            `help:"Certificate of the signer, PEM, its intermediates after it." placeholder:"FILE"`
	SignKey      string            `help:"Private key of the signer, PEM: RSA or P-256." placeholder:"FILE"`
	EncryptTo    string            `help:"Certificate of the device that alone may read the payloads; RSA." placeholder:"FILE"`
	Unsigned     bool              `help:"Neither sign nor encrypt: for inspection only, every secret is [redacted]."`
	Secret       map[string]string `help:"A secret that the template names: a file with the password, or a PKCS#12 file. May be repeated." placeholder:"NAME=FILE" mapsep:"none"`
	P12Password  map[string]string `name:"p12-password" help:"File with the password of a PKCS#12 secret. May be repeated." placeholder:"NAME=FILE" mapsep:"none"`
	ScepURL      string            `name:"scep-url" help:"Where a template with identity scep gets the certificate." placeholder:"URL"`
	Challenge    string            `name:"challenge-file" help:"File with the one-time challenge for SCEP." placeholder:"FILE"`
	Organization string            `help:"Organisation, shown on the phone." placeholder:"NAME"`
	Out          string            `required:"" help:"File to write, - for standard output." placeholder:"FILE"`
}

const applePlatform = string(templates.PlatformApple)

func (c *profileBuildCmd) Run(p *program) error {
	if err := c.usage(); err != nil {
		return err
	}
	source, err := p.readDocument(c.Template)
	if err != nil {
		return err
	}
	spec, err := templates.Parse(source)
	if err != nil {
		return p.refuse(c.Template, source, err)
	}
	userSource, err := p.readDocument(c.User)
	if err != nil {
		return err
	}
	u, device, err := parseUser(userSource)
	if err != nil {
		return p.refuse(c.User, userSource, err)
	}
	options := templates.Options{Organization: c.Organization, SCEPURL: c.ScepURL, Device: device, ForApp: c.Platform != applePlatform}
	if !options.ForApp {
		if options.Secrets, err = c.secrets(p, spec, u); err != nil {
			return err
		}
	}
	if err := c.needsSCEP(spec); err != nil {
		return err
	}
	if err := c.needsServer(spec); err != nil {
		return err
	}
	rendered, err := templates.Render(offlineRevision(spec, source), u, options)
	if err != nil {
		return p.refuse(c.Template, source, err)
	}
	shown, err := templates.Show(rendered, templates.Platform(c.Platform), c.osVersions(device)...)
	if err != nil {
		return p.refuse(c.Template, source, err)
	}
	data := shown.Body
	if c.Platform == applePlatform {
		if data, err = c.mobileconfig(rendered); err != nil {
			return err
		}
	}
	for _, w := range shown.Warnings {
		fmt.Fprintln(p.stderr, place(c.Template, source, levelWarning, w))
	}
	if shown.Schema != "" { // no server is asked
		fmt.Fprintln(p.stderr, schemaWord(shown.Schema))
	}
	p.printFidelity(shown.Fidelity)
	if len(data) == 0 {
		return usageError{"there is nothing to write: the names of this app's keys are told by its own schema alone, which the server reads from Google"}
	}
	return p.writeFile(c.Out, data)
}

// usage refuses flags that do not go together.
func (c *profileBuildCmd) usage() error {
	if err := checkOS(c.OS); err != nil {
		return err
	}
	closed := c.SignCert != "" || c.SignKey != "" || c.EncryptTo != ""
	switch {
	case c.Platform != applePlatform && (closed || c.Unsigned):
		return usageError{"managed configuration is neither signed nor encrypted: --sign-cert, --sign-key, --encrypt-to and --unsigned are for --platform apple"}
	case c.Platform != applePlatform && len(c.Secret)+len(c.P12Password) > 0:
		return usageError{"managed configuration holds no secret: --secret and --p12-password are for --platform apple"}
	case c.Platform != applePlatform:
		return nil
	case c.Unsigned && closed:
		return usageError{"--unsigned is for inspection only: it goes with none of --sign-cert, --sign-key, --encrypt-to"}
	case c.Unsigned:
		return nil
	case c.SignCert == "" || c.SignKey == "":
		return usageError{"sign the profile with --sign-cert FILE --sign-key FILE, or write it --unsigned for inspection only"}
	}
	return nil
}

// needsSCEP refuses a profile whose certificate the phone could never get.
func (c *profileBuildCmd) needsSCEP(spec templates.Spec) error {
	uses := slices.ContainsFunc(spec.Accounts, func(a profiles.ExchangeAccount) bool { return a.Identity == profiles.IdentitySCEP })
	switch {
	case !uses || c.Platform != applePlatform:
		return nil
	case c.ScepURL == "":
		return usageError{"the template has an account with identity scep: name the server with --scep-url URL"}
	case c.Challenge == "" && !c.Unsigned:
		return usageError{"the template has an account with identity scep: give its one-time challenge with --challenge-file FILE"}
	}
	return nil
}

// needsServer refuses a profile whose keys no file here holds.
func (c *profileBuildCmd) needsServer(spec templates.Spec) error {
	if len(spec.SMIMEUsages()) == 0 || c.Platform != applePlatform || c.Unsigned {
		return nil
	}
	return usageError{"the template has an S/MIME identity smime, and only the server keeps those keys: look at the profile with --unsigned, or name a file by identity pkcs12"}
}

// offlineRevision has an ID of its own, made from the name: the profile does not
// replace one that a server has made.
func offlineRevision(spec templates.Spec, source []byte) templates.Revision {
	return templates.Revision{TemplateID: mobileconfig.UUID("offline template", spec.Name), Name: spec.Name, Number: 1, Spec: spec, Source: string(source)}
}

var osVersion = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$`)

// checkOS refuses what would be taken for the newest version.
func checkOS(version string) error {
	if version != "" && !osVersion.MatchString(version) {
		return usageError{fmt.Sprintf("--os: %q is no version of iOS: write for example 12.4", version)}
	}
	return nil
}

// osVersions is what the report on fidelity is for.
func (c *profileBuildCmd) osVersions(device *mdm.DeviceFacts) []string {
	switch {
	case c.OS != "":
		return []string{c.OS}
	case device != nil && device.OSVersion != "":
		return []string{device.OSVersion}
	}
	return nil
}

func (c *profileBuildCmd) mobileconfig(r templates.Rendered) ([]byte, error) {
	profile := r.Profile
	if r.NeedsChallenge {
		challenge := secret.New("unknown") // shown as [redacted]
		if c.Challenge != "" {
			text, err := secretLine(c.Challenge)
			if err != nil {
				return nil, err
			}
			challenge = text
		}
		profile = r.WithChallenge(challenge)
	}
	if c.Unsigned {
		return profile.EncodeForInspection()
	}
	signer, err := identity(c.SignCert, c.SignKey)
	if err != nil {
		return nil, err
	}
	data, err := c.encode(profile)
	if err != nil {
		return nil, err
	}
	return cms.Sign(data, signer)
}

func (c *profileBuildCmd) encode(profile mobileconfig.Profile) ([]byte, error) {
	if c.EncryptTo == "" {
		if profile.Secret() {
			return nil, errors.New("the profile holds a password or a private key: encrypt it to the device with --encrypt-to CERT, or look at it with --unsigned")
		}
		return profile.Encode()
	}
	device, err := certificates(c.EncryptTo)
	if err != nil {
		return nil, err
	}
	return mobileconfig.Encrypt(profile, device[0])
}

// printFidelity tells what will be otherwise than the template says.
func (p *program) printFidelity(accounts []templates.AccountFidelity) {
	for _, account := range accounts {
		for _, f := range account.Report {
			if f.Status == profiles.Applied {
				continue
			}
			remedy := ""
			if f.Substitute != "" {
				remedy = "nearest: " + f.Substitute
			}
			what := refusal.New(nil, account.Account+": "+f.Field, string(f.Status)+": "+f.Why, remedy)
			fmt.Fprintln(p.stderr, cell(what.Error()))
		}
	}
}

// secrets reads the files that the template's secrets come from.
func (c *profileBuildCmd) secrets(p *program, spec templates.Spec, u directory.User) ([]templates.Secret, error) {
	for name := range c.P12Password {
		if c.Secret[name] == "" {
			return nil, usageError{fmt.Sprintf("--p12-password %s=… belongs to --secret %s=FILE", name, name)}
		}
	}
	named := spec.Secrets()
	for _, name := range sortedKeys(c.Secret) {
		if !slices.Contains(named, name) {
			return nil, usageError{fmt.Sprintf("--secret %s=…: the template names no such secret%s", name, among(named))}
		}
	}
	for _, name := range named {
		if c.Secret[name] == "" {
			return nil, usageError{fmt.Sprintf("the template names the secret %s: give it with --secret %s=FILE", name, name)}
		}
	}
	var made []templates.Secret
	for _, name := range sortedKeys(c.Secret) {
		in, err := c.secretInput(name)
		if err != nil {
			return nil, err
		}
		s, err := templates.NewSecret(in, u, p.now())
		if err != nil {
			return nil, p.refuse(c.Secret[name], nil, err)
		}
		made = append(made, s)
	}
	return made, nil
}

// among is the rest of a message about a name that is none of these.
func among(names []string) string {
	if len(names) == 0 {
		return ", it names none"
	}
	return ", it names " + strings.Join(names, ", ")
}

func (c *profileBuildCmd) secretInput(name string) (templates.SecretInput, error) {
	data, err := readSmall(c.Secret[name])
	if err != nil {
		return templates.SecretInput{}, err
	}
	if len(data) < 2 || data[0] != 0x30 || data[1] < 0x80 { // no DER of more than 127 bytes: text
		value, err := secretLine(c.Secret[name])
		return templates.SecretInput{Name: name, Kind: templates.SecretPassword, Value: value}, err
	}
	in := templates.SecretInput{Name: name, Kind: templates.SecretPKCS12, Data: data}
	if file := c.P12Password[name]; file != "" {
		in.Value, err = secretLine(file)
	}
	return in, err
}

// secretLine reads a file with one line; editors end it with a newline, which
// is no part of it.
func secretLine(file string) (secret.Value, error) {
	text, err := readSmall(file)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")), nil
}

// refuse prints what is wrong in a file, each with its place where it has one.
func (p *program) refuse(file string, source []byte, err error) error {
	refusals := refusal.All(err)
	if len(refusals) == 0 {
		return fmt.Errorf("%s: %w", cell(file), err)
	}
	for _, r := range refusals {
		fmt.Fprintln(p.stderr, place(file, source, levelError, r))
	}
	return errQuiet
}

// writeFile writes for the owner's eyes alone: a profile is one person's.
func (p *program) writeFile(name string, data []byte) error {
	if name == "-" {
		_, err := p.stdout.Write(data)
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return cmp.Or(err, f.Close())
}
