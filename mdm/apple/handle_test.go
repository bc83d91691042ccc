package apple

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/bounded"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// upstairs stands for the rooms above: it admits one phone and notes what it is asked.
type upstairs struct {
	enrollment mdm.Enrollment
	successor  string // hash of a certificate that was issued to follow, and not used yet
	calls      []string
	contact    mdm.Contact
	order      *Order
	err        error
}

func (u *upstairs) Pinned(_ context.Context, hash string) (mdm.Enrollment, error) {
	if hash != u.enrollment.CertificateHash && hash != u.successor {
		return mdm.Enrollment{}, ErrUnknownIdentity
	}
	return u.enrollment, nil
}

func (u *upstairs) Succeed(_ context.Context, e mdm.Enrollment, id Identity) (mdm.Enrollment, error) {
	u.calls = append(u.calls, "Succeed "+string(e.ID))
	u.enrollment.CertificateHash, u.successor = id.Hash, ""
	return u.enrollment, u.err
}

func (u *upstairs) Authenticate(_ context.Context, id Identity, m Authenticate) error {
	u.calls = append(u.calls, "Authenticate "+m.UDID+" "+id.Certificate.Subject.CommonName)
	return u.err
}

func (u *upstairs) TokenUpdate(_ context.Context, _ mdm.Enrollment, m TokenUpdate) error {
	u.calls = append(u.calls, "TokenUpdate "+m.PushMagic)
	return u.err
}

func (u *upstairs) CheckOut(context.Context, mdm.Enrollment) error {
	u.calls = append(u.calls, "CheckOut")
	return u.err
}

func (u *upstairs) Visit(ctx context.Context, id Identity) (Visit, error) {
	if _, err := u.Pinned(ctx, id.Hash); err != nil {
		return nil, err
	}
	return u, nil
}

func (u *upstairs) Enrollment() mdm.Enrollment { return u.enrollment }

func (u *upstairs) Next(ctx context.Context, c mdm.Contact) (*Order, error) {
	u.calls = append(u.calls, "Next "+string(c.Status)+" as "+audit.Actor(ctx))
	u.contact = c
	return u.order, u.err
}

type trailLog struct {
	entries []audit.Entry
	err     error
}

func (l *trailLog) Append(ctx context.Context, e audit.Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.entries = append(l.entries, e)
	return l.err
}

func (l *trailLog) List(context.Context, audit.Filter) ([]audit.Entry, error) { return l.entries, nil }

// desk is a Service with one phone and one authority.
type desk struct {
	*Service
	up    *upstairs
	log   *trailLog
	root  *x509.Certificate
	key   crypto.Signer
	phone cms.Identity
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certify(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{up: &upstairs{}, log: &trailLog{}, key: newKey(t)}
	d.root = certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(9, 0, 0),
	}, nil, d.key.Public(), d.key)
	d.phone = d.issue(t, "phone", noon.AddDate(1, 0, 0), x509.ExtKeyUsageClientAuth)
	sum := sha256.Sum256(d.phone.Certificate.Raw)
	d.up.enrollment = mdm.Enrollment{ID: "E1", UDID: udid, Topic: "t", State: mdm.Enrolled, CertificateHash: hex.EncodeToString(sum[:])}
	pool := x509.NewCertPool()
	pool.AddCert(d.root)
	d.Service = &Service{
		Admitter: d.up, Planner: d.up, Audit: d.log,
		Trust: func() cms.Trust { return cms.Trust{Roots: pool} },
		Now:   func() time.Time { return noon },
	}
	return d
}

func (d *desk) issue(t testing.TB, name string, notAfter time.Time, usage x509.ExtKeyUsage) cms.Identity {
	t.Helper()
	key := newKey(t)
	cert := certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: noon.Add(-time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, d.root, key.Public(), d.key)
	return cms.Identity{Certificate: cert, Key: key}
}

// issueUnder is issue by an authority between the root and the phone, which this
// service does not know and the phone brings along.
func (d *desk) issueUnder(t testing.TB, name string) cms.Identity {
	t.Helper()
	between := *d
	between.key = newKey(t)
	between.root = certify(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(9, 0, 0),
	}, d.root, between.key.Public(), d.key)
	id := between.issue(t, name, noon.AddDate(1, 0, 0), x509.ExtKeyUsageClientAuth)
	id.Chain = []*x509.Certificate{between.root}
	return id
}

func sign(t testing.TB, body []byte, id cms.Identity) string {
	t.Helper()
	signature, err := cms.SignDetached(body, id)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func (d *desk) send(t testing.TB, dict map[string]any) ([]byte, error) {
	t.Helper()
	body := encode(t, dict)
	return d.Handle(context.Background(), Request{Body: body, Signature: sign(t, body, d.phone), RemoteAddr: "192.0.2.1"})
}

func TestSignature(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	body := encode(t, map[string]any{"Status": "Idle", "UDID": udid})
	good := sign(t, body, d.phone)
	raw, err := base64.StdEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := cms.Sign(body, d.phone)
	if err != nil {
		t.Fatal(err)
	}
	foreign := newDesk(t)
	flipped := slices.Clone(raw)
	flipped[len(flipped)-1] ^= 1
	bomb := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x30\x80", 5000)))
	tests := []struct {
		name      string
		body      []byte
		signature string
		want      error
	}{
		{"good", body, good, nil},
		{"none", body, "", ErrUnauthenticated},
		{"by way of an authority that came along", body, sign(t, body, d.issueUnder(t, "phone")), ErrUnauthenticated},
		{"not base64", body, "%%%", ErrUnauthenticated},
		{"not CMS", body, "aGVsbG8=", ErrUnauthenticated},
		{"longer than a header", body, strings.Repeat("A", bounded.MaxHeader+1), ErrUnauthenticated},
		{"nested without end", body, bomb, ErrUnauthenticated},
		{"one bit flipped", body, base64.StdEncoding.EncodeToString(flipped), ErrUnauthenticated},
		{"cut off", body, base64.StdEncoding.EncodeToString(raw[:len(raw)-5]), ErrUnauthenticated},
		{"another body", append(slices.Clone(body), ' '), good, ErrUnauthenticated},
		{"content of its own", body, base64.StdEncoding.EncodeToString(attached), ErrUnauthenticated},
		{"another authority of the same name", body, sign(t, body, foreign.phone), ErrUnauthenticated},
		{"expired", body, sign(t, body, d.issue(t, "phone", noon.Add(-time.Minute), x509.ExtKeyUsageClientAuth)), ErrUnauthenticated},
		{"not for clients", body, sign(t, body, d.issue(t, "phone", noon.AddDate(1, 0, 0), x509.ExtKeyUsageServerAuth)), ErrUnauthenticated},
		{"ours, but unknown", body, sign(t, body, d.issue(t, "phone", noon.AddDate(1, 0, 0), x509.ExtKeyUsageClientAuth)), ErrUnknownIdentity},
		{"body beyond its limit", make([]byte, bounded.MaxPlist+1), good, ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows := len(d.log.entries)
			d.up.calls = nil
			_, err := d.Handle(context.Background(), Request{Body: test.body, Signature: test.signature, RemoteAddr: "192.0.2.1"})
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if test.want == nil {
				if len(d.up.calls) != 1 {
					t.Errorf("got calls %v", d.up.calls)
				}
				return
			}
			if len(d.up.calls) != 0 || !Refused(err) || len(d.log.entries) != rows+1 {
				t.Errorf("got calls %v, %d audit rows, refused %v", d.up.calls, len(d.log.entries)-rows, Refused(err))
			}
			if last := d.log.entries[len(d.log.entries)-1]; last.Outcome != audit.Refused || last.Detail["reason"] == "" || last.Detail["address"] != "192.0.2.1" {
				t.Errorf("got audit row %+v", last)
			}
		})
	}
}

// Whoever hangs up right after a forged message leaves the row all the same: the
// answer to a half-closed connection still arrives.
func TestRefusalOfOneWhoHungUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx, hangUp := context.WithCancel(context.Background())
	hangUp()
	if _, err := d.Handle(ctx, Request{Body: []byte("x"), RemoteAddr: "192.0.2.1"}); !errors.Is(err, ErrUnauthenticated) {
		t.Fatalf("got %v, want %v", err, ErrUnauthenticated)
	}
	if len(d.log.entries) != 1 {
		t.Errorf("got %d audit rows, want 1", len(d.log.entries))
	}
}

func TestDispatch(t *testing.T) {
	t.Parallel()
	token := map[string]any{"MessageType": "TokenUpdate", "Topic": "t", "UDID": udid, "Token": []byte{1}, "PushMagic": "m"}
	tests := []struct {
		name string
		dict map[string]any
		call string
		want error
	}{
		{"Authenticate", map[string]any{"MessageType": "Authenticate", "Topic": "t", "UDID": strings.ToLower(udid)}, "Authenticate " + udid + " phone", nil},
		{"Authenticate without topic", map[string]any{"MessageType": "Authenticate", "UDID": udid}, "", ErrMalformed},
		{"TokenUpdate", token, "TokenUpdate m", nil},
		{"CheckOut", map[string]any{"MessageType": "CheckOut", "Topic": "t", "UDID": udid}, "CheckOut", nil},
		{"CheckOut of another topic", map[string]any{"MessageType": "CheckOut", "Topic": "u", "UDID": udid}, "", ErrMalformed},
		{"CheckOut of another phone", map[string]any{"MessageType": "CheckOut", "Topic": "t", "UDID": strings.Repeat("0", 40)}, "", ErrUnauthenticated},
		{"poll", map[string]any{"Status": "Idle", "UDID": udid}, "Next Idle as phone:E1", nil},
		{"poll of another phone", map[string]any{"Status": "Idle", "UDID": strings.Repeat("0", 40)}, "", ErrUnauthenticated},
		{"malformed result", map[string]any{"Status": "Error", "UDID": udid}, "", ErrMalformed},
	}
	for _, unsupported := range []string{"SetBootstrapToken", "GetBootstrapToken", "DeclarativeManagement", "UserAuthenticate", "GetToken", "Nonsense"} {
		tests = append(tests, struct {
			name string
			dict map[string]any
			call string
			want error
		}{unsupported, map[string]any{"MessageType": unsupported, "Topic": "t", "UDID": udid}, "", ErrMalformed})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			body, err := d.send(t, test.dict)
			if !errors.Is(err, test.want) || len(body) != 0 {
				t.Fatalf("got %d bytes, %v; want %v", len(body), err, test.want)
			}
			if got := strings.Join(d.up.calls, ", "); got != test.call {
				t.Errorf("got calls %q, want %q", got, test.call)
			}
			if (test.want != nil) != (len(d.log.entries) == 1) {
				t.Errorf("got %d audit rows", len(d.log.entries))
			}
		})
	}
	t.Run("the refusal names the type", func(t *testing.T) {
		t.Parallel()
		_, err := newDesk(t).send(t, map[string]any{"MessageType": "DeclarativeManagement", "Topic": "t", "UDID": udid})
		if all := refusal.All(err); len(all) != 1 || !strings.Contains(all[0].Reason, "DeclarativeManagement") {
			t.Errorf("got %v", err)
		}
	})
}

// TestPollWithoutManagement: an enrolment that has ended, or has not begun, is
// told nothing; it is not refused either, or a bug would un-enrol a fleet.
func TestPollWithoutManagement(t *testing.T) {
	t.Parallel()
	for _, state := range []mdm.EnrollmentState{mdm.Authenticated, mdm.CheckedOut, mdm.Replaced, mdm.Held, mdm.Refused} {
		d := newDesk(t)
		d.up.enrollment.State = state
		d.up.order = &Order{ID: "C1", Command: SecurityInfo{}}
		body, err := d.send(t, map[string]any{"Status": "Idle", "UDID": udid})
		if err != nil || len(body) != 0 || len(d.up.calls) != 0 || len(d.log.entries) != 0 {
			t.Errorf("%s: got %d bytes, %v, calls %v", state, len(body), err, d.up.calls)
		}
	}
}

// TestOwnTrouble: an error of ours is passed on as it is, and leaves no row
// that would blame the phone. A trail that cannot be written changes no refusal.
func TestOwnTrouble(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.up.err = errors.New("disk full")
	for _, dict := range []map[string]any{
		{"Status": "Idle", "UDID": udid},
		{"MessageType": "CheckOut", "Topic": "t", "UDID": udid},
		{"MessageType": "Authenticate", "Topic": "t", "UDID": udid},
	} {
		if _, err := d.send(t, dict); !errors.Is(err, d.up.err) || Refused(err) || len(d.log.entries) != 0 {
			t.Errorf("got %v and %d audit rows", err, len(d.log.entries))
		}
	}
	d.log.err = errors.New("disk full")
	if _, err := d.Handle(context.Background(), Request{}); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated", err)
	}
}
