package enroll

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	code, pin := regexp.MustCompile(`^[2-9A-HJ-NP-Z]{8}$`), regexp.MustCompile(`^[0-9]{6}$`)
	symbols, digits := map[rune]bool{}, map[rune]bool{}
	for range 500 {
		c, p := newCode(), newPIN()
		if !code.MatchString(c) || !pin.MatchString(p) {
			t.Fatalf("got code %q, PIN %q", c, p)
		}
		if again, ok := normalCode(" " + strings.ToLower(c) + "\n"); !ok || again != c {
			t.Fatalf("%q typed in lower case became %q", c, again)
		}
		for _, r := range c {
			symbols[r] = true
		}
		for _, r := range p {
			digits[r] = true
		}
	}
	if len(symbols) != 32 || len(digits) != 10 {
		t.Errorf("saw %d symbols and %d digits, want 32 and 10", len(symbols), len(digits))
	}
	for _, bad := range []string{"", "ABCDEFG", "ABCDEFGHJ", "ABCDEFG0", "ABCDEFGO", "ABCDEFG1", "ABCDEFGI", "ABCD EFG", "ABCDEFG\x00", "ÄBCDEFG", "ABCDEFſH"} {
		if got, ok := normalCode(bad); ok {
			t.Errorf("%q passes as %q", bad, got)
		}
	}
}

func FuzzNormalCode(f *testing.F) {
	f.Add("abcdefgh")
	f.Add(" 23456789\r\n")
	f.Add("ſſſſ")
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := normalCode(typed)
		if !ok {
			return
		}
		if again, ok := normalCode(code); !ok || again != code || len(code) != codeLength {
			t.Fatalf("%q became %q", typed, code)
		}
	})
}

func TestInvite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		in     InviteRequest
		upns   []string
		want   error
		fields []string
	}{
		{"one user, in any case", InviteRequest{UPN: "ALICE@example.test"}, []string{"alice@example.test"}, nil, nil},
		{"a group", InviteRequest{Group: "sales", Ownership: mdm.Corporate, PIN: true}, []string{"alice@example.test"}, nil, nil},
		{"everyone", InviteRequest{All: true, TTL: time.Hour}, []string{"alice@example.test", "bob@example.test"}, nil, nil},
		{"nobody named", InviteRequest{}, nil, ErrInvalid, []string{"user"}},
		{"two ways at once", InviteRequest{UPN: "alice@example.test", All: true}, nil, ErrInvalid, []string{"user"}},
		{"everything wrong", InviteRequest{Ownership: "mine", TTL: time.Second}, nil, ErrInvalid, []string{"user", "ownership", "ttl"}},
		{"for ever", InviteRequest{All: true, TTL: 91 * 24 * time.Hour}, nil, ErrInvalid, []string{"ttl"}},
		{"in the past", InviteRequest{All: true, TTL: -time.Hour}, nil, ErrInvalid, []string{"ttl"}},
		{"unknown user", InviteRequest{UPN: "eve@example.test"}, nil, ErrNotFound, []string{"user"}},
		{"empty group", InviteRequest{Group: "marketing"}, nil, ErrNotFound, []string{"group"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			got, err := h.enroll.Invite(audit.WithActor(context.Background(), "admin"), test.in)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			var fields []string
			for _, e := range refusal.All(err) {
				fields = append(fields, e.Field)
			}
			if diff := cmp.Diff(fields, test.fields); diff != "" {
				t.Errorf("fields: got -, want +:\n%s", diff)
			}
			var upns []string
			for _, i := range got {
				upns = append(upns, i.Invitation.UPN)
				url := i.URL.Reveal()
				if !regexp.MustCompile(`^https://mdm\.example\.test/enroll/[2-9A-HJ-NP-Z]{8}$`).MatchString(url) {
					t.Errorf("got URL %s", url)
				}
				if (i.PIN.Reveal() != "") != test.in.PIN || (len(i.Invitation.PINHash) > 0) != test.in.PIN {
					t.Errorf("PIN %v, hash %d bytes", !i.PIN.IsZero(), len(i.Invitation.PINHash))
				}
				if i.Invitation.CreatedBy != "admin" || !i.Invitation.Ownership.Valid() || i.Invitation.State != InvitationOpen {
					t.Errorf("got %+v", i.Invitation)
				}
				kept := fmt.Sprintf("%q %v", h.invitations, h.audit)
				if strings.Contains(kept, url[len(url)-8:]) || test.in.PIN && strings.Contains(kept, i.PIN.Reveal()) {
					t.Error("the code or PIN is kept in the clear")
				}
			}
			if diff := cmp.Diff(upns, test.upns); diff != "" {
				t.Errorf("users: got -, want +:\n%s", diff)
			}
			if len(h.audit) != len(got) || len(h.invitations) != len(got) {
				t.Errorf("got %d invitations and %d audit rows", len(h.invitations), len(h.audit))
			}
		})
	}
}

func TestInviteManyPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 2*userPage + 1 {
		id := directory.UserID(fmt.Sprintf("u%05d", i))
		h.users[id] = directory.User{ID: id, UPN: string(id) + "@example.test", Groups: []string{"many"}}
	}
	got, err := h.enroll.Invite(context.Background(), InviteRequest{Group: "many"})
	if err != nil || len(got) != 2*userPage+1 {
		t.Errorf("got %d invitations, %v", len(got), err)
	}
	urls := map[string]bool{}
	for _, i := range got {
		urls[i.URL.Reveal()] = true
	}
	if len(urls) != len(got) {
		t.Errorf("%d different URLs for %d invitations", len(urls), len(got))
	}
}

func TestOpenChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, code := h.invite(t, h.alice.UPN, mdm.Personal)
	broken := mailTemplate("%nothing%")
	broken.Name = "broken"
	broken.Spec.Accounts[0].Host = "other.example.test"
	h.revisions = append(h.revisions, broken)
	before, rows := h.state(), len(h.audit)
	for range 3 {
		w, err := h.enroll.Open(context.Background(), code)
		if err != nil {
			t.Fatal(err)
		}
		if w.User.UPN != h.alice.UPN || w.Organization != "Example" || w.PINAsked || !w.Placeholder || len(w.Accounts) != 1 || w.Accounts[0].Email != h.alice.Email {
			t.Errorf("got %+v", w)
		}
	}
	if diff := cmp.Diff(h.state(), before); diff != "" || len(h.audit) != rows || len(h.grants) != 0 {
		t.Errorf("the page changed something:\n%s", diff)
	}
}

// TestBadInvitations: the page and the download refuse alike, leave an audit
// row and mint nothing.
func TestBadInvitations(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(h *house, id InvitationID, code string) (string, string) // code and PIN to try
		want    error
		page    bool // the page refuses too
	}{
		{"unknown", func(*house, InvitationID, string) (string, string) { return "ABCDEFGH", "" }, ErrNotFound, true},
		{"not a code", func(*house, InvitationID, string) (string, string) { return "../admin", "" }, ErrNotFound, true},
		{"used", func(h *house, id InvitationID, code string) (string, string) {
			h.set(id, func(i *Invitation) { i.State = InvitationUsed })
			return code, ""
		}, ErrInvitationUsed, true},
		{"expired", func(h *house, _ InvitationID, code string) (string, string) {
			h.sleep(defaultInvitationTTL)
			return code, ""
		}, ErrInvitationExpired, true},
		{"used, and then expired", func(h *house, id InvitationID, code string) (string, string) {
			h.set(id, func(i *Invitation) { i.State = InvitationUsed })
			h.sleep(defaultInvitationTTL)
			return code, ""
		}, ErrInvitationUsed, true},
		{"revoked", func(h *house, id InvitationID, code string) (string, string) {
			if err := h.enroll.RevokeInvitation(context.Background(), string(id)); err != nil {
				panic(err)
			}
			return code, ""
		}, ErrInvitationRevoked, true},
		{"user removed", func(h *house, _ InvitationID, code string) (string, string) {
			delete(h.users, h.alice.ID)
			return code, ""
		}, ErrNotFound, true},
		{"no PIN", func(h *house, id InvitationID, code string) (string, string) {
			h.set(id, func(i *Invitation) { i.PINHash = h.enroll.pinHash(id, "123456") })
			return code, ""
		}, ErrInvalid, false},
		{"wrong PIN", func(h *house, id InvitationID, code string) (string, string) {
			h.set(id, func(i *Invitation) { i.PINHash = h.enroll.pinHash(id, "123456") })
			return code, "123457"
		}, ErrInvalid, false},
		{"PIN of another invitation", func(h *house, id InvitationID, code string) (string, string) {
			h.set(id, func(i *Invitation) { i.PINHash = h.enroll.pinHash("another", "123456") })
			return code, "123456"
		}, ErrInvalid, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			issued, code := h.invite(t, h.alice.UPN, mdm.Personal)
			code, pin := test.prepare(h, issued.Invitation.ID, code)
			rows := len(h.audit)
			profile, err := h.enroll.EnrollmentProfile(context.Background(), code, pin)
			if !errors.Is(err, test.want) || len(refusal.All(err)) == 0 || profile != nil {
				t.Errorf("download: got %v, want %v", err, test.want)
			}
			if test.page {
				rows++
				if _, err := h.enroll.Open(context.Background(), code); !errors.Is(err, test.want) {
					t.Errorf("page: got %v, want %v", err, test.want)
				}
			}
			if len(h.audit) != rows+1 || h.audit[len(h.audit)-1].Outcome != audit.Refused {
				t.Errorf("got %d audit rows", len(h.audit)-rows)
			}
			if len(h.grants) != 0 {
				t.Error("a challenge was minted")
			}
			if pin != "" && strings.Contains(fmt.Sprint(h.audit, err), pin) {
				t.Error("the PIN shows in the trail or the refusal")
			}
		})
	}
}

// Whoever hangs up right after a guess leaves the row all the same: the answer
// to a half-closed connection still arrives.
func TestRefusalOfOneWhoHungUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	if _, err := h.enroll.Open(ctx, "ABCDEFGH"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v, want %v", err, ErrNotFound)
	}
	if len(h.audit) != 1 {
		t.Errorf("got %d audit rows, want 1", len(h.audit))
	}
}

func (h *house) set(id InvitationID, change func(*Invitation)) {
	i := h.invitations[id]
	change(&i)
	h.invitations[id] = i
}

func TestRightPIN(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	issued, err := h.enroll.Invite(context.Background(), InviteRequest{UPN: h.alice.UPN, PIN: true})
	if err != nil {
		t.Fatal(err)
	}
	url := issued[0].URL.Reveal()
	w, err := h.enroll.Open(context.Background(), url[len(url)-8:])
	if err != nil || !w.PINAsked {
		t.Fatalf("got %+v, %v", w, err)
	}
	for range 2 { // a download may be repeated until a certificate is issued
		if _, err := h.enroll.EnrollmentProfile(context.Background(), url[len(url)-8:], " "+issued[0].PIN.Reveal()+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if challenges := slices.Collect(maps.Keys(h.grants)); len(challenges) != 2 {
		t.Errorf("got %d challenges, want a fresh one for each download", len(challenges))
	}
}

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, _ := h.invite(t, h.alice.UPN, mdm.Personal)
	second, _ := h.invite(t, h.bob.UPN, mdm.Personal)
	list, err := h.enroll.ListInvitations(context.Background(), "", directory.Page{})
	if err != nil || len(list) != 2 || list[0].ID != second.Invitation.ID {
		t.Errorf("got %+v, %v", list, err)
	}
	list, err = h.enroll.ListInvitations(context.Background(), h.alice.UPN, directory.Page{})
	if err != nil || len(list) != 1 || list[0].ID != first.Invitation.ID {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := h.enroll.ListInvitations(context.Background(), "eve@example.test", directory.Page{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	id := string(first.Invitation.ID)
	if err := h.enroll.RevokeInvitation(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if err := h.enroll.RevokeInvitation(context.Background(), id); !errors.Is(err, ErrConflict) {
		t.Errorf("revoking twice: got %v, want ErrConflict", err)
	}
	if err := h.enroll.RevokeInvitation(context.Background(), "unknown"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestValidateNamesEveryGap(t *testing.T) {
	t.Parallel()
	err := (&Service{InquiryMaxAge: -1, MailboxLimit: -1}).Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 26 {
		t.Errorf("got %v", err)
	}
}
