package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/templates"
)

// TestSecretOpensOnlyWhereItWasSealed: whoever can write to the file cannot
// make one user's secret another's, nor bring an old value back.
func TestSecretOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"user":     `UPDATE templates_secrets SET user_id = 'mallory'`,
		"name":     `UPDATE templates_secrets SET name = 'other'`,
		"revision": `UPDATE templates_secrets SET revision = 'older'`,
		"column":   `UPDATE templates_secrets SET value = data`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sallyport.db")
			db := mustOpen(t, path, 1)
			s := templates.Secret{Name: "mail", Kind: templates.SecretPKCS12, Revision: "first", Value: secret.New("password"), Data: []byte("file"), CreatedAt: time.Now()}
			if err := db.Templates().SaveSecret(t.Context(), s, audit.Entry{}); err != nil {
				t.Fatal(err)
			}
			if _, err := raw(t, path).Exec(statement); err != nil {
				t.Fatal(err)
			}
			if list, err := db.Templates().SecretsFor(t.Context(), "mallory"); !errors.Is(err, secret.ErrOpen) {
				t.Errorf("got %d secrets, %v; want ErrOpen", len(list), err)
			}
		})
	}
}

// TestOlderProgramOnThisSchema writes as the program before 0002 does.
func TestOlderProgramOnThisSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sallyport.db")
	db := mustOpen(t, path, 1)
	_, err := raw(t, path).Exec(`INSERT INTO directory_users (id, upn, upn_key, email, email_key,
			username, username_key, domain_name, down_level_key, display_name, first_name, middle_name, last_name,
			group_names, created_at, updated_at, removed_at)
		VALUES ('1', 'a@x.test', 'a@x.test', 'a@x.test', 'a@x.test', 'a', 'a', '', '', 'A', '', '', '', '[]', 1, 1, 0)`)
	if err != nil {
		t.Fatal(err)
	}
	u, err := db.Users().UserByUPN(t.Context(), "a@x.test")
	if err != nil || u.SharedMailbox {
		t.Errorf("got %+v, %v", u, err)
	}
	if _, err := db.Users().SaveUsers(t.Context(), []directory.User{u}, nil); err != nil {
		t.Error(err)
	}
}
