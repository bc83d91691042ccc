package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
	"sallyport/templates"
)

// unit is one unit of work; prepare returns it, ready to be done.
type unit struct {
	name    string
	prepare func(w *world) func(ctx context.Context) error
}

// testAtomicity breaks every unit of work at its commit in two ways: nothing
// of it may be left, and doing it again must succeed as if for the first time.
func testAtomicity(t *testing.T, make Maker) {
	for _, u := range slices.Concat(units, accessUnits) {
		t.Run(u.name, func(t *testing.T) {
			w := newWorld(t, make)
			act := u.prepare(w)

			w.unchangedBy(func() {
				ctx, cancel := context.WithCancel(w.ctx)
				defer cancel()
				w.onHook(func(_ string, phase store.Phase) {
					if phase == store.BeforeCommit {
						cancel()
					}
				})
				w.is(act(ctx), context.Canceled)
			})
			w.unchangedBy(func() {
				w.onHook(func(_ string, phase store.Phase) {
					if phase == store.BeforeCommit {
						panic("killed")
					}
				})
				if !panics(func() { _ = act(w.ctx) }) {
					t.Error("the hook's panic was lost")
				}
			})

			var phases []string
			w.onHook(func(name string, phase store.Phase) { phases = append(phases, name+" "+string(phase)) })
			before := w.Dump(t)
			w.ok(act(w.ctx))
			w.same(phases, []string{u.name + " before_commit", u.name + " after_commit"})
			if before == w.Dump(t) {
				t.Error("the unit of work wrote nothing: the test proves nothing")
			}
		})
	}
}

func panics(act func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	act()
	return false
}

var units = []unit{
	{"set setting public_url", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.DB.SetSettingOnce(ctx, "public_url", "https://example.test")
			return err
		}
	}},
	{"append audit entry", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error { return w.DB.Audit().Append(ctx, w.entry("user.save", "")) }
	}},
	{"move outbox cursor", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error { return w.DB.Outbox().Done(ctx, "a", 1) }
	}},
	{"prune outbox", func(w *world) func(context.Context) error {
		w.user("alice@example.test")
		w.ok(w.DB.Outbox().Done(w.ctx, "a", 1000))
		return func(ctx context.Context) error {
			_, err := w.DB.Outbox().Prune(ctx, start.Add(time.Hour), 10, "a")
			return err
		}
	}},
	{"save token", func(w *world) func(context.Context) error {
		token := auth.Token{ID: newID(), Hash: secret.Hash("t"), Role: auth.Admin, CreatedAt: start, ExpiresAt: start}
		return func(ctx context.Context) error {
			return w.DB.Tokens().SaveToken(ctx, token, w.entry("token.create", ""))
		}
	}},
	{"revoke token", func(w *world) func(context.Context) error {
		token := auth.Token{ID: newID(), Hash: secret.Hash("t"), Role: auth.Admin, CreatedAt: start, ExpiresAt: start}
		w.ok(w.DB.Tokens().SaveToken(w.ctx, token, w.entry("token.create", "")))
		return func(ctx context.Context) error {
			return w.DB.Tokens().RevokeToken(ctx, token.ID, w.now(), w.entry("token.revoke", ""))
		}
	}},
	{"save users", func(w *world) func(context.Context) error {
		w.user("alice@example.test", "old")
		return func(ctx context.Context) error {
			_, err := w.DB.Users().SaveUsers(ctx, []directory.User{person("alice@example.test", "new"), person("bob@example.test")},
				[]audit.Entry{w.entry("user.save", "")})
			return err
		}
	}},
	{"remove user", func(w *world) func(context.Context) error {
		u := w.user("alice@example.test", "sales")
		w.challenge(identityGrant(w.invitation(u)))
		w.enrolled(u, "U1")
		return func(ctx context.Context) error {
			return w.DB.Users().RemoveUser(ctx, u.ID, w.now(), w.entry("user.remove", ""))
		}
	}},
	{"create invitations", func(w *world) func(context.Context) error {
		i := enroll.Invitation{ID: enroll.InvitationID(newID()), CodeHash: secret.Hash("c"), UserID: w.user("alice@example.test").ID,
			Ownership: mdm.Personal, State: enroll.InvitationOpen}
		return func(ctx context.Context) error {
			return w.DB.Invitations().CreateInvitations(ctx, []enroll.Invitation{i}, []audit.Entry{w.entry("invitation.create", "")})
		}
	}},
	{"revoke invitation", func(w *world) func(context.Context) error {
		i := w.invitation(w.user("alice@example.test"))
		w.challenge(identityGrant(i))
		return func(ctx context.Context) error {
			return w.DB.Invitations().RevokeInvitation(ctx, i.ID, w.entry("invitation.revoke", ""))
		}
	}},
	{"save challenge", func(w *world) func(context.Context) error {
		g := mailGrant(w.user("alice@example.test"), "E")
		return func(ctx context.Context) error {
			return w.DB.Certificates().SaveChallenge(ctx, certs.Challenge{Hash: secret.Hash("c"), Grant: g, CreatedAt: start, ExpiresAt: start})
		}
	}},
	{"issue certificate", func(w *world) func(context.Context) error {
		i := w.invitation(w.user("alice@example.test"))
		c := w.challenge(identityGrant(i))
		w.challenge(identityGrant(i))
		return func(ctx context.Context) error {
			_, err := w.DB.Certificates().Issue(ctx, c.Hash, claim("t"), w.now(), w.signing(claim("t")))
			return err
		}
	}},
	{"save keys", func(w *world) func(context.Context) error {
		records := []certs.KeyRecord{{Role: "root", Certificate: []byte("c"), Key: []byte("k"), CreatedAt: start}, {Role: "issuing", Certificate: []byte("c"), Key: []byte("k"), CreatedAt: start}}
		return func(ctx context.Context) error {
			return w.DB.Keys().SaveKeys(ctx, records, w.entry("authority.create", ""))
		}
	}},
	{"issue renewal", func(w *world) func(context.Context) error {
		_, identity := w.withIdentity(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			_, err := w.DB.Certificates().IssueRenewal(ctx, identity.SHA256, claim("t"), w.now(), w.signing(claim("t")))
			return err
		}
	}},
	{"save renewals", func(w *world) func(context.Context) error {
		u := w.user("alice@example.test")
		a, first := w.withIdentity(u, "U1")
		b, second := w.withIdentity(u, "U2")
		due := []enroll.IdentityRenewal{renewalOf(a.ID, first, start, mdm.RenewalExpiry), renewalOf(b.ID, second, start, mdm.RenewalExpiry)}
		return func(ctx context.Context) error {
			return w.DB.Renewals().SaveRenewals(ctx, due, w.entry("identity.due", ""))
		}
	}},
	{"pin successor", func(w *world) func(context.Context) error {
		e, old := w.withIdentity(w.user("alice@example.test"), "U1")
		successor := w.successor(e)
		return func(ctx context.Context) error {
			_, err := w.DB.Renewals().PinSuccessor(ctx, e.ID, old.SHA256, successor.SHA256, w.now(), w.entry("identity.pin", ""))
			return err
		}
	}},
	{"retire predecessors", func(w *world) func(context.Context) error {
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		_, a, b := predecessors(w, u, e.ID)
		return func(ctx context.Context) error {
			_, err := w.DB.Renewals().RetirePredecessors(ctx, e.ID, []string{a[2].SHA256, b[2].SHA256}, w.now(), w.entry("identity.retire", ""))
			return err
		}
	}},
	{"revoke certificate", func(w *world) func(context.Context) error {
		_, identity := w.withIdentity(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			_, err := w.DB.Certificates().Revoke(ctx, identity.SHA256, certs.ReasonKeyCompromise, w.now(), w.entry("certificate.revoke", ""))
			return err
		}
	}},
	{"move keys", func(w *world) func(context.Context) error {
		record := certs.KeyRecord{Role: "issuing", Certificate: []byte("c"), Key: []byte("k"), CreatedAt: start}
		w.ok(w.DB.Keys().SaveKeys(w.ctx, []certs.KeyRecord{record}, w.entry("authority.create", "")))
		record.ActiveAt = start
		return func(ctx context.Context) error {
			return w.DB.Keys().MoveKeys(ctx, []certs.KeyRecord{record}, w.entry("authority.activate", ""))
		}
	}},
	{"admit device", func(w *world) func(context.Context) error {
		d, e := w.request(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			_, err := w.DB.Enrollments().Admit(ctx, d, e, w.entry("device.admit", ""))
			return err
		}
	}},
	{"activate enrolment", func(w *world) func(context.Context) error {
		u := w.user("alice@example.test")
		w.enrolled(u, "U1")
		e := w.admitted(u, "U1")
		return func(ctx context.Context) error {
			return w.DB.Enrollments().Activate(ctx, e.ID, w.push(), w.now(), w.entry("device.enrol", ""))
		}
	}},
	{"end enrolment", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			return w.DB.Enrollments().End(ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", ""))
		}
	}},
	{"save contact", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		c := w.command(e.ID, "SecurityInfo", "")
		return func(ctx context.Context) error {
			return w.DB.Plans().SaveContact(ctx, e.ID, mdm.Contact{At: w.now(), Status: mdm.StatusAcknowledged, CommandID: c.ID,
				Report: mdm.Report{Security: &mdm.SecurityFacts{At: w.now()}}})
		}
	}},
	{"save command", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		for range 5 {
			w.command(e.ID, "SecurityInfo", "")
		}
		c := mdm.Command{ID: "C", EnrollmentID: e.ID, RequestType: "SecurityInfo", SentAt: start}
		return func(ctx context.Context) error { return w.DB.Plans().SaveCommand(ctx, c, nil) }
	}},
	{"save command", func(w *world) func(context.Context) error { // with the result that it answers
		e := w.enrolled(w.user("alice@example.test"), "U1")
		asked := w.command(e.ID, "SecurityInfo", "")
		c := mdm.Command{ID: "C", EnrollmentID: e.ID, RequestType: "ProfileList", SentAt: start}
		return func(ctx context.Context) error {
			return w.DB.Plans().SaveCommand(ctx, c, &mdm.Contact{At: w.now(), Status: mdm.StatusAcknowledged, CommandID: asked.ID,
				Report: mdm.Report{Security: &mdm.SecurityFacts{At: w.now()}}})
		}
	}},
	{"advance enrolment", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			return w.DB.Plans().Advance(ctx, e.ID, mdm.Enrolled, mdm.Configured)
		}
	}},
	{"request report", func(w *world) func(context.Context) error {
		e := w.reachable(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			return w.DB.Enrollments().RequestReport(ctx, e.ID, w.now())
		}
	}},
	{"create action", func(w *world) func(context.Context) error {
		a := w.act(w.enrolled(w.user("alice@example.test"), "U1").ID, mdm.ActionWipe)
		return func(ctx context.Context) error {
			return w.DB.Actions().CreateAction(ctx, a, w.entry("action.order", ""))
		}
	}},
	{"move action", func(w *world) func(context.Context) error {
		a := w.ordered(w.enrolled(w.user("alice@example.test"), "U1").ID, mdm.ActionWipe)
		return func(ctx context.Context) error {
			return w.DB.Actions().MoveAction(ctx, a.ID, cancelled(w.now()), w.entry("action.cancel", ""))
		}
	}},
	{"expire actions", func(w *world) func(context.Context) error {
		a := w.ordered(w.enrolled(w.user("alice@example.test"), "U1").ID, mdm.ActionWipe)
		return func(ctx context.Context) error {
			_, err := w.DB.Actions().ExpireActions(ctx, a.ExpiresAt, 10)
			return err
		}
	}},
	{"save contact", func(w *world) func(context.Context) error { // which ends the enrolment
		e := w.enrolled(w.user("alice@example.test"), "U1")
		c := w.sent(w.ordered(e.ID, mdm.ActionWipe))
		return func(ctx context.Context) error {
			return w.DB.Plans().SaveContact(ctx, e.ID, mdm.Contact{At: w.now(), Status: mdm.StatusAcknowledged, CommandID: c.ID})
		}
	}},
	{"admit held enrolment", func(w *world) func(context.Context) error {
		_, e := w.takeover("U1")
		return func(ctx context.Context) error {
			return w.DB.Held().AdmitHeld(ctx, e.ID, w.now(), w.entry("enrollment.admit", ""))
		}
	}},
	{"refuse held enrolment", func(w *world) func(context.Context) error {
		_, e := w.takeover("U1")
		return func(ctx context.Context) error {
			return w.DB.Held().RefuseHeld(ctx, e.ID, w.now(), w.entry("enrollment.refuse", ""))
		}
	}},
	{"set ownership", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			return w.DB.Held().SetOwnership(ctx, e.ID, mdm.Personal, w.entry("enrollment.ownership", ""))
		}
	}},
	{"set label", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			return w.DB.Held().SetLabel(ctx, e.DeviceID, "Reception", w.entry("device.rename", ""))
		}
	}},
	{"request wake-ups", func(w *world) func(context.Context) error {
		w.reachable(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			_, err := w.DB.Wakes().RequestWake(ctx, nil, w.now())
			return err
		}
	}},
	{"request wake-ups of silent phones", func(w *world) func(context.Context) error {
		w.reachable(w.user("alice@example.test"), "U1")
		return func(ctx context.Context) error {
			_, err := w.DB.Wakes().RequestSilent(ctx, w.now().Add(time.Hour), w.now().Add(2*time.Hour), 10)
			return err
		}
	}},
	{"save wake-up", func(w *world) func(context.Context) error {
		w.reachable(w.user("alice@example.test"), "U1")
		w.wake(w.now())
		due := w.due(w.now())
		return func(ctx context.Context) error {
			return w.DB.Wakes().SaveWake(ctx, due[0], enroll.WakeResult{At: w.now(), Dead: true, Error: "Unregistered"})
		}
	}},
	{"save template", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			_, _, err := w.DB.Templates().SaveRevision(ctx, template("mail", "one"), templates.AnyRevision, w.entry("template.apply", ""))
			return err
		}
	}},
	{"save security policy", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			_, _, err := w.DB.Templates().SaveSecurityPolicy(ctx, securityPolicy("baseline", "one"), 0, w.entry("security_policy.apply", ""))
			return err
		}
	}},
	{"save secret", func(w *world) func(context.Context) error {
		s := identityFile("mail", w.user("alice@example.test").ID)
		return func(ctx context.Context) error {
			return w.DB.Templates().SaveSecret(ctx, s, w.entry("secret.set", ""))
		}
	}},
	{"remove secret", func(w *world) func(context.Context) error {
		w.saveSecret(password("mail", "", "x"))
		return func(ctx context.Context) error {
			return w.DB.Templates().RemoveSecret(ctx, "mail", "", w.entry("secret.remove", ""))
		}
	}},
	{"save policy", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			_, _, err := w.DB.Compliance().SavePolicy(ctx, policy("baseline", "one"), w.entry("compliance.apply", ""))
			return err
		}
	}},
	{"save verdict", func(w *world) func(context.Context) error {
		e := w.enrolled(w.user("alice@example.test"), "U1")
		v := w.judged(e.ID, compliance.Compliant)
		return func(ctx context.Context) error {
			return w.DB.Compliance().SaveVerdict(ctx, compliance.Verdict{}, v, w.entry("compliance.verdict", ""))
		}
	}},
}
