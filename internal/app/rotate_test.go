package app_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/internal/app"
	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

// envRotate makes a process of this test binary rotate the key of that data
// directory, and kill itself at the step of envKill.
const envRotate = "E2E_ROTATE_DATA"

func rotateUntilKilled() error {
	killAt, err := strconv.Atoi(os.Getenv(envKill))
	if err != nil {
		return err
	}
	n := 0
	_, err = app.RotateKEK(context.Background(), testConfig(os.Getenv(envRotate), "127.0.0.1:0"), app.RotateOptions{Hook: func(string) {
		if n++; n == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	return err
}

// rotating is an installation with values in every sealed column, and a phone.
type rotating struct {
	t                   *testing.T
	dir, phone, listen  string
	invitation          adminapi.IssuedInvitation // not yet used
	inEnvironment       bool
	old, anew           string // keys in the environment
	device, act, answer string
}

func newRotating(t *testing.T, inEnvironment bool) *rotating {
	t.Helper()
	r := &rotating{t: t, dir: filepath.Join(t.TempDir(), "seeded"), phone: filepath.Join(t.TempDir(), "phone"), listen: freeAddress(t), inEnvironment: inEnvironment}
	r.old, r.anew = hex.EncodeToString(bytes.Repeat([]byte{1}, 32)), hex.EncodeToString(bytes.Repeat([]byte{2}, 32))
	cfg := r.config(r.dir)
	cfg.KEKNew = secret.Value{}
	stop, c := serveFor(t, cfg)
	c.seed()
	_, file := identityFile(t)
	c.put("/api/v1/secrets/mail-password", adminapi.SecretInput{Kind: "password", Value: mailPassword})
	c.put("/api/v1/secrets/alice-p12", adminapi.SecretInput{Kind: "pkcs12", User: alice, Value: filePassword, Data: file})
	c.post("/api/v1/smime/issue", adminapi.SMIMEIssueRequest{User: alice, Usages: []string{"signing", "encryption"}}, &adminapi.SMIMEKeys{})
	c.post("/api/v1/webhooks", accessapi.WebhookInput{URL: "https://localhost:9/hook"}, &access.NewWebhook{}) // nobody is there: its secret is what counts
	phone := newPhone(t, r.phone, c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	r.device = c.theDevice().ID
	r.act = c.order(r.device, adminapi.ActionRequest{Kind: "query", Query: "CertificateList"}).ID
	must(t, phone.Connect(t.Context()))
	if r.answer = r.result(c); r.answer == "" {
		t.Fatal("the query has no answer")
	}
	r.invitation = c.invite(adminapi.InvitationRequest{User: alice, PIN: true})
	phone.Close()
	stop()
	r.signUp(cfg)
	found, err := app.RotateKEK(t.Context(), cfg, app.RotateOptions{DryRun: true})
	must(t, err)
	for _, column := range found.Columns {
		if column.Left == 0 || column.Done != 0 {
			t.Errorf("before the rotation: %+v, want values, and all of them to be done", column)
		}
	}
	return r
}

// signUp writes what a sign-up at Google leaves, without asking there.
func (r *rotating) signUp(cfg config.Config) {
	r.t.Helper()
	keys := [][]byte{bytes.Repeat([]byte{1}, 32)}
	if !r.inEnvironment {
		var err error
		keys, err = secret.LoadKeys(filepath.Join(r.dir, app.KeyFile))
		must(r.t, err)
	}
	sealer, err := secret.NewSealer(keys[0])
	must(r.t, err)
	o := store.Options{Sealer: sealer, Database: cfg.Database.Reveal()}
	if o.Database == "" {
		o.Path = filepath.Join(r.dir, app.DatabaseFile)
	}
	db, err := store.Open(r.t.Context(), o)
	must(r.t, err)
	now := time.Now()
	e := enroll.AndroidEnterprise{Project: "p", Account: secret.New("key file"), Secret: secret.New("notified"), StateUntil: now, CreatedAt: now}
	must(r.t, db.Android().BeginSignup(r.t.Context(), e, audit.New(r.t.Context(), now, "android.signup", "p", audit.Done)))
	must(r.t, db.Close())
}

// result is the phone's answer to the query.
func (r *rotating) result(c *client) string {
	r.t.Helper()
	var detail adminapi.ActionDetail
	c.call(http.MethodGet, "/api/v1/devices/"+r.device+"/actions/"+r.act, "", nil, &detail)
	return detail.Result
}

// config has both keys where the environment holds them.
func (r *rotating) config(dir string) config.Config {
	cfg := testConfig(dir, r.listen)
	if r.inEnvironment {
		cfg.KEK, cfg.KEKNew = secret.New(r.old), secret.New(r.anew)
	}
	return cfg
}

// copied is a data directory as the seeded one was, and a phone.
func (r *rotating) copied() (dir, phone string) {
	r.t.Helper()
	dir, phone = filepath.Join(r.t.TempDir(), "data"), filepath.Join(r.t.TempDir(), "phone")
	must(r.t, os.CopyFS(dir, os.DirFS(r.dir)))
	must(r.t, os.CopyFS(phone, os.DirFS(r.phone)))
	engine.copied(r.t, r.dir, dir)
	must(r.t, os.Chmod(dir, 0o700))
	for _, name := range []string{app.KeyFile, app.TokenFile} {
		if err := os.Chmod(filepath.Join(dir, name), 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
	}
	return dir, phone
}

// rotate runs in a process of its own, and says whether that was killed.
func (r *rotating) rotate(dir string, killAt int) (killed bool) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRotate+"="+dir, envData+"="+engine.of(dir).Reveal(), fmt.Sprintf("%s=%d", envKill, killAt))
	if r.inEnvironment {
		cmd.Env = append(cmd.Env, config.VariableKEK+"="+r.old, config.VariableKEKNew+"="+r.anew)
	}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	r.t.Fatalf("rotate: %v\n%s", err, out)
	return false
}

// works starts a server on the directory: all that is sealed opens, codes of
// before are known, and the phone is served.
func (r *rotating) works(when string, cfg config.Config, phoneDir string) {
	r.t.Helper()
	if _, err := app.RotateKEK(r.t.Context(), cfg, app.RotateOptions{DryRun: true}); err != nil {
		r.t.Fatalf("%s: %v", when, err)
	}
	stop, c := serveFor(r.t, cfg)
	defer stop()
	defer c.http.CloseIdleConnections() // a server that stops waits for them
	if got := r.result(c); got != r.answer {
		r.t.Errorf("%s: the answer to a query was %q, is %q", when, r.answer, got)
	}
	resp, err := c.http.Get(r.invitation.URL)
	must(r.t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Errorf("%s: an invitation of before: %s", when, resp.Status)
	}
	phone := newPhone(r.t, phoneDir, c.root, "")
	defer phone.Close()
	if err := phone.Connect(r.t.Context()); err != nil {
		r.t.Errorf("%s: the phone: %v", when, err)
	}
	if s := show(r.t, phone); len(s.Accounts) != 1 || s.Recreated != 0 {
		r.t.Errorf("%s: %d accounts, %d made anew", when, len(s.Accounts), s.Recreated)
	}
}

// TestRotationKilled kills a rotation at each of its steps. A server opens what it
// left, and another run ends it.
func TestRotationKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: kills a rotation at every step; run without -short")
	}
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		r := newRotating(t, false)
		r.killEach(1)
	})
	t.Run("environment", func(t *testing.T) {
		t.Parallel()
		r := newRotating(t, true)
		r.killEach(4)
	})
}

func (r *rotating) killEach(step int) {
	r.t.Helper()
	for n := 1; ; n += step {
		if n > 200 {
			r.t.Fatal("a rotation of more than 200 steps: the count is never reached")
		}
		dir, phone := r.copied()
		killed := r.rotate(dir, n)
		when := fmt.Sprintf("killed at step %d", n)
		r.works(when, r.config(dir), phone)
		if killed && r.rotate(dir, 0) {
			r.t.Fatal("killed by nobody")
		}
		cfg := r.config(dir)
		if r.inEnvironment {
			cfg.KEK, cfg.KEKNew = secret.New(r.anew), secret.Value{}
		} else {
			r.oneNewKey(dir)
		}
		r.works(when+" and gone on", cfg, phone)
		if !killed {
			r.t.Logf("%d steps", n-1)
			if n < 20 {
				r.t.Errorf("only %d steps in a rotation: the hook does not see them", n-1)
			}
			return
		}
		// No old key opens what is now sealed under the new one.
		if r.inEnvironment {
			cfg.KEK = secret.New(r.old)
		} else {
			old, err := os.ReadFile(filepath.Join(r.dir, app.KeyFile))
			must(r.t, err)
			must(r.t, os.WriteFile(filepath.Join(dir, app.KeyFile), old, 0o600))
		}
		_, err := app.New(r.t.Context(), cfg, app.Options{})
		if !errors.Is(err, store.ErrWrongKey) {
			r.t.Errorf("%s: the old key: got %v, want ErrWrongKey", when, err)
		}
	}
}

func (r *rotating) oneNewKey(dir string) {
	r.t.Helper()
	keys, err := secret.LoadKeys(filepath.Join(dir, app.KeyFile))
	must(r.t, err)
	old, err := secret.LoadKeys(filepath.Join(r.dir, app.KeyFile))
	must(r.t, err)
	if len(keys) != 1 || bytes.Equal(keys[0], old[0]) {
		r.t.Errorf("%d keys in the file, want one that is new", len(keys))
	}
}

// TestRotationRefuses what it cannot do, and then does nothing.
func TestRotationRefuses(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	cfg := testConfig(data, "127.0.0.1:0")
	rotateOnce := func(cfg config.Config) error {
		_, err := app.RotateKEK(t.Context(), cfg, app.RotateOptions{})
		return err
	}
	if err := rotateOnce(cfg); !errors.Is(err, app.ErrNoDatabase) {
		t.Errorf("no installation: %v", err)
	}
	stop, _ := serveFor(t, cfg)
	if err := rotateOnce(cfg); !errors.Is(err, app.ErrLocked) {
		t.Errorf("beside a server: %v", err)
	}
	stop()

	path := filepath.Join(data, app.KeyFile)
	key, err := os.ReadFile(path)
	must(t, err)
	with := cfg
	with.KEK = secret.New(strings.TrimSpace(string(key)))
	if err := rotateOnce(with); !errors.Is(err, app.ErrTwoKeys) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), config.VariableKEK) {
		t.Errorf("a key in the file and in the environment: %v", err)
	}
	if _, err := app.New(t.Context(), with, app.Options{}); !errors.Is(err, app.ErrTwoKeys) {
		t.Errorf("a server with both: %v", err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	must(t, os.Rename(path, kept))
	if err := rotateOnce(cfg); !errors.Is(err, app.ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	if err := rotateOnce(with); !errors.Is(err, app.ErrNoNewKey) {
		t.Errorf("no new key in the environment: %v", err)
	}
	with.KEKNew = with.KEK
	if err := rotateOnce(with); !errors.Is(err, app.ErrNoNewKey) {
		t.Errorf("the same key: %v", err)
	}
	other := cfg
	other.KEK, other.KEKNew = secret.New(strings.Repeat("ab", 32)), secret.New(strings.Repeat("cd", 32))
	if err := rotateOnce(other); !errors.Is(err, store.ErrWrongKey) || len(refusal.All(err)) != 1 {
		t.Errorf("a wrong key: %v", err)
	}
	elsewhere := cfg
	elsewhere.KEKFile = kept
	stop, _ = serveFor(t, elsewhere)
	stop()
	if local, err := app.ReadLocal(data); err != nil || local.KEK != kept {
		t.Errorf("the command line is told of %q, %v", local.KEK, err)
	}
	must(t, rotateOnce(elsewhere))
	if now, err := os.ReadFile(kept); err != nil || bytes.Equal(now, key) || len(now) != len(key) {
		t.Errorf("the file elsewhere holds %d bytes, changed %t, %v", len(now), !bytes.Equal(now, key), err)
	}
}
