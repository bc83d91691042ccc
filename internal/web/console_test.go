package web

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

var consoleNow = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

const hostile = `"><script>alert(1)</script>'{{.}}`

func sampleFrame() ConsoleFrame {
	return ConsoleFrame{Organization: "Example Organisation", Owner: "dana", Role: "auditor", Section: "devices"}
}

func sampleRow(name string) ConsoleRow {
	return ConsoleRow{
		Address: "/console/devices/01990000-0000-7000-8000-000000000001", User: "alice@example.test", Name: name, Model: "iPhone15,4", System: "18.1", Ownership: "corporate",
		Verdict: "not_compliant", VerdictSince: consoleNow.Add(-time.Hour), Decision: "block", Step: "conditions_failed", Fact: "no passcode is set",
		DecisionSince: consoleNow.Add(-time.Hour), MailAt: consoleNow, PhoneAt: consoleNow,
	}
}

func sampleDevice() ConsoleDevice {
	return ConsoleDevice{
		User: "alice@example.test", Name: "Alice’s iPhone",
		Decision: &ConsoleDecision{Effect: "block", Step: "conditions_failed", Since: consoleNow, ValidUntil: consoleNow,
			Reasons: []ConsoleReason{{Rule: "passcode", Fact: "no passcode is set", Fix: "Set a passcode in Settings > Face ID & Passcode.", Since: consoleNow}},
			Trace: []ConsoleStep{
				{Step: "user", Outcome: "does not apply", Fact: "the mailbox is alice@example.test's"},
				{Step: "conditions_failed", Subject: "standard@3", Outcome: "failed", Fact: "enrolled passed, compliant failed", Decided: true}}},
		Verdict: &ConsoleVerdict{State: "not_compliant", Policy: "baseline@2", Since: consoleNow, At: consoleNow, GraceUntil: consoleNow, Findings: []ConsoleFinding{
			{Rule: "passcode", State: "failed", Fact: "no passcode is set", Expected: "a passcode", Fix: "Set a passcode.", Since: consoleNow},
			{Rule: "minimum_os", State: "met", Fact: "iOS 18.1", Expected: "at least 16.0", Since: consoleNow},
			{Rule: "not_jailbroken", State: "cannot_tell", Fact: "no iPhone can tell"}}},
		Phone: &ConsolePhone{ID: "p1", Enrollment: "e1", State: "configured", Ownership: "personal", Platform: "apple", Product: "iPhone15,4", System: "18.1",
			Label: "Front desk", Withheld: "policies", PollOnly: true, EndedAt: consoleNow},
		Client: &ConsoleClient{ID: "d1", Type: "iPhone", Agent: "Apple-iPhone15C4/2201.1", Spellings: []string{"ApplC39", "4170706C433339"}, FirstAt: consoleNow},
		LeftOut: []ConsoleLeftOut{{Template: "mail", App: "Gmail", Reason: "Gmail takes one account on Android, that of the template pilots, whose priority is higher: 10 against 0",
			Remedy: "give this one a higher priority or another android.app, or assign only one of both to the user"}},
		Advice:   []ConsoleAdvice{{Key: "exempt", Command: `sallyport access device exempt d1 --for 24h --reason "TEXT"`}},
		Bindings: []ConsoleBinding{{Enrollment: "e1", State: "configured", Proof: "reported", Verdict: "not_compliant"}, {Enrollment: "e2", State: "enrolled"}},
		Words:    []ConsoleWord{{Kind: "exempt", By: "dana", Reason: "travels", At: consoleNow, Until: consoleNow}, {Kind: "block", By: "dana", Reason: "lost", Every: true, At: consoleNow}},
		Inputs:   "{\n  \"at\": \"2026-11-22T09:30:00Z\"\n}",
		Commands: []ConsoleCommand{{Type: "InstallProfile", Subject: "test.mail", State: "acknowledged", SentAt: consoleNow, DoneAt: consoleNow}, {Type: "DeviceLock", State: "failed", Error: "no", SentAt: consoleNow}},
	}
}

func samplePreview() ConsolePreview {
	return ConsolePreview{
		Template: "mail", Action: "/console/templates/mail/preview", User: "alice@example.test", Platform: "apple", Shown: true, Revision: 3, Owner: "alice@example.test",
		Tree: "account Company mail\n  password: [redacted]\n", Redacted: true,
		Platforms: []ConsolePlatform{{Name: "apple", Counted: true, Applied: 7}, {Name: "gmail", Address: "/console/templates/mail/preview?platform=gmail", Counted: true, Applied: 5, Unsupported: 2}, {Name: "outlook", Address: "/x"}},
		Accounts:  []ConsoleFidelity{{Account: "Company mail", System: "18.1", Settings: []ConsoleSetting{{Field: "host", Status: "applied"}, {Field: "sync.mail", Status: "degraded", Why: "rounded", Substitute: "a month"}}}},
		Warnings:  []Fault{{Field: "assign", Reason: "nobody is in the group", Remedy: "name another"}},
	}
}

// everyConsole renders each page of the console in each of its forms.
func everyConsole(p *Pages, accept string, add func(name string, body []byte, err error)) {
	f := sampleFrame()
	forms := map[string]SignIn{"": {}, "-wrong": {Wrong: true}, "-role": {Role: "engine"}, "-ended": {Ended: true}}
	for name, form := range forms {
		body, err := p.ConsoleSignIn(accept, ConsoleFrame{Organization: f.Organization}, form)
		add("console-signin"+name, body, err)
	}
	full := ConsoleDevices{Search: "alice", Decision: "block", Verdict: "not_compliant", Next: "/console/devices?after=u2", Start: "/console/devices", Looked: 4000,
		Rows: []ConsoleRow{sampleRow("Alice’s iPhone"), sampleRow(hostile), {User: "bob@example.test"}}}
	for name, list := range map[string]ConsoleDevices{"": full, "-none": {Search: "x"}, "-empty": {}} {
		body, err := p.ConsoleDevices(accept, f, list)
		add("console-devices"+name, body, err)
	}
	phone, client := sampleDevice(), sampleDevice()
	phone.Decision, phone.Client, phone.Inputs, phone.Bindings, phone.Commands = nil, nil, "", nil, nil
	client.Phone, client.Verdict = nil, nil
	for name, device := range map[string]ConsoleDevice{"": sampleDevice(), "-phone": phone, "-client": client} {
		body, err := p.ConsoleDevice(accept, f, device)
		add("console-device"+name, body, err)
	}
	body, err := p.ConsoleTemplates(accept, f, ConsoleTemplates{[]ConsoleTemplate{
		{Name: "mail", Title: "Company mail", Assigned: "everyone", By: "dana", Revision: 3, At: consoleNow, Address: "/console/templates/mail/preview"}, {Name: "old", Assigned: "sales"}}})
	add("console-templates", body, err)
	body, err = p.ConsoleTemplates(accept, f, ConsoleTemplates{})
	add("console-templates-none", body, err)
	faulty := ConsolePreview{Template: "mail", User: hostile, Faults: []Fault{{Field: "user", Reason: "nobody", Remedy: "look"}}}
	for name, preview := range map[string]ConsolePreview{"": samplePreview(), "-form": {Template: "mail", Platforms: []ConsolePlatform{{Name: "apple"}}}, "-faulty": faulty} {
		body, err := p.ConsolePreview(accept, f, preview)
		add("console-preview"+name, body, err)
	}
	for _, key := range ConsoleTroubles() {
		body, err := p.ConsoleTrouble(accept, f, ConsoleTrouble{Key: key, RequestID: "0123456789abcdef", Wait: time.Minute, Faults: []Fault{{Field: "q", Reason: "is too long"}}})
		add("console-trouble-"+key, body, err)
	}
}

// What a phone or its owner says of itself is data, on every page of the console.
func TestConsoleEscapes(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	d := sampleDevice()
	d.User, d.Name, d.Inputs = hostile, hostile, hostile
	d.Decision.Reasons[0] = ConsoleReason{Rule: hostile, Fact: hostile, Fix: hostile}
	d.Decision.Trace[0] = ConsoleStep{Step: hostile, Subject: hostile, Outcome: hostile, Fact: hostile}
	d.Verdict.Findings[0] = ConsoleFinding{Rule: hostile, State: hostile, Fact: hostile, Expected: hostile, Fix: hostile}
	d.Phone = &ConsolePhone{Name: hostile, Label: hostile, Model: hostile, System: hostile, Serial: hostile, State: hostile, Ownership: hostile, Withheld: hostile}
	d.Client = &ConsoleClient{Type: hostile, Agent: hostile, Spellings: []string{hostile}, Address: hostile}
	d.LeftOut[0] = ConsoleLeftOut{Template: hostile, App: hostile, Reason: hostile, Remedy: hostile}
	d.Advice[0] = ConsoleAdvice{Key: hostile, Command: hostile}
	d.Words[0].Reason, d.Commands[0].Error, d.Bindings[0].Proof = hostile, hostile, hostile
	device, err := p.ConsoleDevice("", ConsoleFrame{Owner: hostile, Role: hostile, Organization: hostile}, d)
	if err != nil {
		t.Fatal(err)
	}
	row := sampleRow(hostile)
	row.Address, row.User, row.Model, row.System, row.Ownership, row.Fact, row.Verdict, row.Decision = "javascript:alert(1)", hostile, hostile, hostile, hostile, hostile, hostile, hostile
	list, err := p.ConsoleDevices("", sampleFrame(), ConsoleDevices{Search: hostile, Rows: []ConsoleRow{row}, Next: "javascript:alert(1)"})
	if err != nil {
		t.Fatal(err)
	}
	v := samplePreview()
	v.Template, v.User, v.Owner, v.Tree, v.Warnings[0].Reason, v.Accounts[0].Account = hostile, hostile, hostile, hostile, hostile, hostile
	preview, err := p.ConsolePreview("", sampleFrame(), v)
	if err != nil {
		t.Fatal(err)
	}
	live := regexp.MustCompile(`<script|href="javascript:|"><scr`)
	for name, body := range map[string][]byte{"device": device, "list": list, "preview": preview} {
		if found := live.Find(body); found != nil {
			t.Errorf("%s holds %q", name, found)
		}
		if bytes.Count(body, []byte("&lt;script&gt;")) == 0 {
			t.Errorf("%s shows nothing of it", name)
		}
	}
}

// Which template is left out on a phone, why, and what to do, is told in the
// reader's language, whichever rule decided.
func TestConsoleSaysWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	const higher, another = "give this one a higher priority, or assign only one of both to the user", "give this one a higher priority or another android.app, or assign only one of both to the user"
	d := ConsoleDevice{Phone: &ConsolePhone{Platform: "android"}, LeftOut: []ConsoleLeftOut{
		{Template: "one", App: "Gmail", Remedy: higher, Reason: "the template best sets up alice@example.test on mail.example.test, and its priority is higher: 5 against -1"},
		{Template: "two", App: "Gmail", Remedy: higher, Reason: "the template best sets up alice on mail.example.test with the same priority, 0, and its name sorts first"},
		{Template: "three", App: "Nine Work", Remedy: another, Reason: "Nine Work takes one account on Android, that of the template best, whose priority is higher: 5 against 0"},
		{Template: "four", App: "Gmail", Remedy: another, Reason: "Gmail takes one account on Android, that of the template best with the same priority, 0, whose name sorts first"},
	}}
	for accept, wants := range map[string][]string{
		"en": {"Templates left out", "<code>three</code> (Nine Work)", "The template best sets up alice@example.test on mail.example.test, and", "Give this one a higher priority"},
		"de": {"Weggelassene Vorlagen", "Die Vorlage best richtet alice@example.test auf mail.example.test ein, und ihre Priorität ist höher: 5 gegen -1",
			"Die Vorlage best richtet alice auf mail.example.test mit derselben Priorität ein, 0, und",
			"Nine Work nimmt auf Android ein einziges Konto, das der Vorlage best, deren Priorität höher ist: 5 gegen 0",
			"Gmail nimmt auf Android ein einziges Konto, das der Vorlage best mit derselben Priorität, 0, deren",
			"eine höhere Priorität, oder weisen", "eine höhere Priorität oder ein anderes android.app, oder weisen"},
	} {
		page, err := p.ConsoleDevice(accept, sampleFrame(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(page), want) {
				t.Errorf("%s: the page lacks %q", accept, want)
			}
		}
		if accept == "de" && strings.Contains(string(page), "the user") {
			t.Error("a sentence is left in English")
		}
	}
	d.LeftOut = nil
	if page, err := p.ConsoleDevice("en", sampleFrame(), d); err != nil || strings.Contains(string(page), "left out") {
		t.Errorf("%v: a heading stands over nothing", err)
	}
}

// A value that nobody told is said to be so, and never left blank.
func TestConsoleSaysWhatIsNotReported(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.ConsoleDevices("", sampleFrame(), ConsoleDevices{Rows: []ConsoleRow{{User: "bob@example.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	// model, system, ownership, verdict, decision, both contacts
	if got := strings.Count(string(body), "not reported"); got != 7 {
		t.Errorf("%d times, want 7:\n%s", got, body)
	}
}

// Nobody who is not signed in sees a bar with a way to pages.
func TestConsoleBar(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.ConsoleSignIn("", ConsoleFrame{}, SignIn{})
	if err != nil || bytes.Contains(body, []byte("/console/session/end")) {
		t.Errorf("%v\n%s", err, body)
	}
	for _, want := range []string{`type="password"`, `autocomplete="off"`, `action="/console/session"`, `method="post"`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the form lacks %s", want)
		}
	}
}
