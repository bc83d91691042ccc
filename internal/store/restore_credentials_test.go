package store_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/store"
)

// TestRestoreRevivesNoCredential: an invitation or a token that is live in a backup
// may have been used or revoked since. What a gate holds ends only where that is
// asked for, as without it no mail is delivered to anybody.
func TestRestoreRevivesNoCredential(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		for _, tt := range []struct {
			name      string
			engines   bool
			live      []string
			ended     []string
			endedText string
		}{
			{"engines go on", false, []string{"gate"}, []string{"watcher", "helpdesk", "mallory"}, "3"},
			{"engines end", true, nil, []string{"gate", "watcher", "helpdesk", "mallory"}, "4"},
		} {
			t.Run(e.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				o := e.place(t, store.Options{Sealer: sealer(t, 1)})
				db, err := store.Open(ctx, o)
				must(t, err)
				now := time.Now().UTC().Truncate(time.Microsecond)
				invited(t, db, now)
				tokened(t, db, now)
				closed(t, db)

				told, err := store.Restored(ctx, "a backup", o, tt.engines)
				must(t, err)
				if got := guests(told.Invitations); !slices.Equal(got, []string{"alice@x.test", "bob@x.test"}) {
					t.Errorf("to invite anew: %v", got)
				}
				if got := owners(told.EndedTokens); !slices.Equal(got, tt.ended) {
					t.Errorf("ended tokens %v, want %v", got, tt.ended)
				}
				if got := owners(told.LiveTokens); !slices.Equal(got, tt.live) {
					t.Errorf("live tokens %v, want %v", got, tt.live)
				}

				db, err = store.Open(ctx, o)
				must(t, err)
				t.Cleanup(func() { closed(t, db) })
				if got, want := states(t, db), map[string]enroll.InvitationState{"a": enroll.InvitationRevoked, "b": enroll.InvitationRevoked,
					"used": enroll.InvitationUsed, "expired": enroll.InvitationOpen, "withdrawn": enroll.InvitationRevoked}; !maps.Equal(got, want) {
					t.Errorf("invitations %v, want %v", got, want)
				}
				if got := valid(t, db, now); !slices.Equal(got, tt.live) {
					t.Errorf("valid tokens %v, want %v", got, tt.live)
				}
				trail, err := db.Audit().List(ctx, audit.Filter{Action: "backup.restore"})
				must(t, err)
				if len(trail) != 1 || trail[0].Detail["revoked_invitations"] != "2" || trail[0].Detail["ended_tokens"] != tt.endedText {
					t.Errorf("trail %+v", trail)
				}
			})
		}
	}
}

// invited makes invitations in every state; two of them can be used.
func invited(t *testing.T, db *store.DB, now time.Time) {
	t.Helper()
	users, err := db.Users().SaveUsers(t.Context(), []directory.User{{UPN: "bob@x.test", Email: "bob@x.test"}, {UPN: "alice@x.test", Email: "alice@x.test"}}, nil)
	must(t, err)
	var list []enroll.Invitation
	for _, i := range []struct {
		id      enroll.InvitationID
		user    int
		state   enroll.InvitationState
		expires time.Duration
	}{
		{"b", 0, enroll.InvitationOpen, time.Hour},
		{"a", 1, enroll.InvitationOpen, time.Hour},
		{"used", 0, enroll.InvitationUsed, time.Hour},
		{"expired", 0, enroll.InvitationOpen, -time.Hour},
		{"withdrawn", 0, enroll.InvitationRevoked, time.Hour},
	} {
		list = append(list, enroll.Invitation{ID: i.id, CodeHash: []byte(i.id), UserID: users[i.user].ID, Ownership: "personal", State: i.state,
			CreatedAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(i.expires)})
	}
	must(t, db.Invitations().CreateInvitations(t.Context(), list, nil))
}

// tokened makes a live token of each role, and two that are over.
func tokened(t *testing.T, db *store.DB, now time.Time) {
	t.Helper()
	for n, token := range []auth.Token{
		{Owner: "mallory", Role: auth.Admin, ExpiresAt: now.Add(time.Hour)},
		{Owner: "helpdesk", Role: auth.Operator, ExpiresAt: now.Add(time.Hour)},
		{Owner: "watcher", Role: auth.Auditor, ExpiresAt: now.Add(time.Hour)},
		{Owner: "gate", Role: auth.Engine, ExpiresAt: now.Add(time.Hour)},
		{Owner: "expired", Role: auth.Admin, ExpiresAt: now.Add(-time.Hour)},
		{Owner: "revoked", Role: auth.Engine, ExpiresAt: now.Add(time.Hour), RevokedAt: now.Add(-time.Hour)},
	} {
		token.ID, token.Hash, token.CreatedAt = token.Owner, []byte(token.Owner), now.Add(time.Duration(n)*time.Minute-24*time.Hour)
		must(t, db.Tokens().SaveToken(t.Context(), token, audit.Entry{Action: "token.create"}))
	}
}

func guests(list []enroll.Invitation) (names []string) {
	for _, i := range list {
		names = append(names, i.UPN)
	}
	return names
}

func owners(list []auth.Token) (names []string) {
	for _, token := range list {
		names = append(names, token.Owner)
	}
	return names
}

func states(t *testing.T, db *store.DB) map[string]enroll.InvitationState {
	t.Helper()
	list, err := db.Invitations().ListInvitations(t.Context(), "", directory.Page{})
	must(t, err)
	found := map[string]enroll.InvitationState{}
	for _, i := range list {
		found[string(i.ID)] = i.State
	}
	return found
}

// valid are the owners of tokens that still let somebody in.
func valid(t *testing.T, db *store.DB, now time.Time) (names []string) {
	t.Helper()
	list, err := db.Tokens().ListTokens(t.Context())
	must(t, err)
	for _, token := range list {
		if token.RevokedAt.IsZero() && now.Before(token.ExpiresAt) {
			names = append(names, token.Owner)
		}
	}
	return names
}
