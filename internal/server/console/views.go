package console

import (
	"cmp"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/internal/web"
)

// What the rooms tell, in the form that pages take.

func decisionOf(d access.Decision, trace []access.TraceLine, on access.Device) *web.ConsoleDecision {
	view := &web.ConsoleDecision{Effect: string(d.Effect), Step: string(d.Step), ValidUntil: d.ValidUntil}
	if on.Effect == d.Effect {
		view.Since = on.SinceAt
	}
	for _, r := range d.Reasons {
		view.Reasons = append(view.Reasons, web.ConsoleReason{Rule: r.Rule, Fact: r.Fact, Fix: r.Fix, Since: r.Since})
	}
	for i, line := range trace {
		view.Trace = append(view.Trace, web.ConsoleStep{
			Step: string(line.Step), Subject: line.Subject, Outcome: line.Outcome, Fact: line.Fact, Decided: i+1 == len(trace),
		})
	}
	return view
}

func verdictView(v compliance.Verdict) *web.ConsoleVerdict {
	view := &web.ConsoleVerdict{
		State: string(cmp.Or(v.State, compliance.NotEvaluated)), Policy: v.Policy, Since: v.Since, At: v.At, GraceUntil: v.GraceUntil,
	}
	for _, f := range v.Findings {
		view.Findings = append(view.Findings, web.ConsoleFinding{
			Rule: string(f.Rule), State: string(f.State), Fact: f.Fact, Expected: f.Expected, Fix: f.Fix, Since: f.Since,
		})
	}
	return view
}

func phoneView(row enroll.DeviceRow) *web.ConsolePhone {
	e := row.Enrollment
	view := &web.ConsolePhone{
		ID: string(row.Device.ID), Enrollment: string(e.ID), State: string(e.State), Ownership: string(e.Ownership), Platform: string(row.Device.Platform),
		Name: nameOf(row), Label: row.Device.Label, Product: row.Device.Product, Model: modelOf(row), Serial: row.Device.Serial, UDID: row.Device.UDID,
		Withheld: string(e.Withheld), PollOnly: e.PollOnly, EnrolledAt: e.EnrolledAt, SeenAt: e.LastSeenAt, EndedAt: e.EndedAt,
	}
	if facts := row.Report.Device; facts != nil {
		view.System, view.EASDeviceID = facts.OSVersion, facts.EASDeviceID
	}
	return view
}

func leftOutOf(list []enroll.LeftTemplate) []web.ConsoleLeftOut {
	var views []web.ConsoleLeftOut
	for _, l := range list {
		views = append(views, web.ConsoleLeftOut{Template: l.Template, App: l.App, Reason: l.Reason, Remedy: l.Remedy})
	}
	return views
}

func clientView(d *access.Detail) *web.ConsoleClient {
	view := &web.ConsoleClient{
		ID: string(d.ID), Type: d.Type, Model: d.Model, System: d.OS, Agent: d.UserAgent, Protocol: d.Protocol, Address: d.Address,
		Spellings: d.Spellings, FirstAt: d.FirstAt, LastAt: d.LastAt, SyncAt: d.SyncAt,
	}
	if len(view.Spellings) == 0 {
		view.Spellings = []string{string(d.Key)}
	}
	return view
}

func bindingsOf(d *access.Detail) []web.ConsoleBinding {
	var list []web.ConsoleBinding
	for _, p := range d.Phones {
		list = append(list, web.ConsoleBinding{
			Enrollment: string(p.EnrollmentID), State: string(p.State), Proof: string(p.Proof), Verdict: string(cmp.Or(p.Verdict.State, compliance.NotEvaluated)),
		})
	}
	return list
}

func wordsOf(d *access.Detail) []web.ConsoleWord {
	var list []web.ConsoleWord
	for _, p := range d.Personal {
		list = append(list, web.ConsoleWord{Kind: string(p.Kind), By: p.By, Reason: p.Reason, Every: p.Key == "", At: p.At, Until: p.ExpiresAt})
	}
	return list
}
