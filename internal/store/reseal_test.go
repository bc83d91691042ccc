package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// openBytes are the columns of bytes that hold no secret: hashes, serials and
// certificates.
var openBytes = []string{
	"auth_tokens.hash", "enroll_invitations.code_hash", "enroll_invitations.pin_hash",
	"certs_challenges.hash", "certs_challenges.key_hash", "certs_challenges.serial",
	"certs_certificates.der", "certs_keys.certificate", "certs_smime_keys.certificate",
	"enroll_android_enterprises.state_hash", "enroll_android_tickets.hash",
}

// TestEverySealedColumnIsKnown: a column that a rotation does not know of is lost
// with the old key. Every column of bytes is either sealed, and in the list, or
// holds no secret and is named above.
func TestEverySealedColumnIsKnown(t *testing.T) {
	t.Parallel()
	var inSchema []string
	for _, line := range sqliteSchema(t) {
		if f := strings.Fields(line); f[0] == "column" && f[2] == "bytes" && !slices.Contains(openBytes, f[1]) {
			inSchema = append(inSchema, f[1])
		}
	}
	var known []string
	for _, c := range store.SealedColumns() {
		known = append(known, c.Name)
	}
	slices.Sort(known)
	if diff := cmp.Diff(inSchema, known); diff != "" {
		t.Errorf("columns of bytes that are not known to hold no secret, and sealedColumns (-schema +list):\n%s", diff)
	}
}

// TestEverySealIsKnown reads the code: whatever is sealed, is sealed for a column
// of the list, or for a setting by sealSetting alone.
func TestEverySealIsKnown(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*ast.File{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			if files[e.Name()], err = parser.ParseFile(token.NewFileSet(), e.Name(), nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	constants, calls := map[string]string{}, 0
	each := func(visit func(file string, n ast.Node)) {
		for name, f := range files {
			ast.Inspect(f, func(n ast.Node) bool { visit(name, n); return true })
		}
	}
	each(func(_ string, n ast.Node) {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					if text, ok := literal(spec.Values[i]); ok {
						constants[name.Name] = text
					}
				}
			}
		}
	})
	each(func(file string, n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 4 {
			return
		}
		if selector, ok := call.Fun.(*ast.SelectorExpr); !ok || selector.Sel.Name != "Seal" {
			return
		}
		calls++
		table, ok := literal(call.Args[0])
		if name, isName := call.Args[0].(*ast.Ident); isName {
			table, ok = constants[name.Name]
		}
		if !ok && file == "reseal.go" { // for the column that was opened
			return
		}
		column, named := literal(call.Args[2])
		known := slices.ContainsFunc(store.SealedColumns(), func(c store.SealedColumn) bool {
			return c.Table == table && (c.Name == table+"."+column || !named)
		})
		if !known && (file != "keycheck.go" || table != "app_settings") {
			t.Errorf("%s seals for %q.%q, which sealedColumns does not have", file, table, column)
		}
	})
	if calls < 8 {
		t.Errorf("found %d calls of Seal: this test does not see them", calls)
	}
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// sealed is a database with values in every sealed column, put there past the
// store: more of them than one transaction takes in one, and some that are empty.
type sealed struct {
	t       *testing.T
	options store.Options
	raw     *sql.DB
}

const sealedRows = store.ResealBatch + 20

func everythingSealed(t *testing.T, place func(testing.TB, store.Options) store.Options) *sealed {
	t.Helper()
	s := &sealed{t: t, options: place(t, store.Options{})}
	db := s.open(1)
	if _, err := db.MACs(t.Context(), "code", "pin"); err != nil {
		t.Fatal(err)
	}
	closed(t, db)
	if s.options.Database != "" {
		s.raw = rawPostgres(t, s.options.Database)
		s.raw.SetMaxOpenConns(1)
		s.exec(`SET session_replication_role = replica`) // nothing refers to anything here
	} else {
		s.raw = raw(t, s.options.Path)
	}
	filled := map[string]bool{}
	for _, c := range store.SealedColumns() {
		if !filled[c.Table] {
			filled[c.Table] = true
			s.fill(c.Table, map[bool]int{true: sealedRows, false: 3}[c.Table == "templates_secrets"])
		}
		s.sealAll(c)
	}
	return s
}

func (s *sealed) open(key byte, older ...byte) *store.DB {
	s.t.Helper()
	o := s.options
	o.Sealer = sealers(s.t, key, older...)
	db, err := store.Open(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

// sealers seals under the first key and opens under all.
func sealers(t testing.TB, key byte, older ...byte) *secret.Sealer {
	t.Helper()
	var more [][]byte
	for _, b := range older {
		more = append(more, bytes.Repeat([]byte{b}, secret.KeySize))
	}
	s, err := secret.NewSealer(bytes.Repeat([]byte{key}, secret.KeySize), more...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sealed) exec(statement string, args ...any) {
	s.t.Helper()
	if _, err := s.raw.Exec(statement, args...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// fill inserts rows that hold something in each column that must not be empty.
func (s *sealed) fill(table string, rows int) {
	s.t.Helper()
	var names, marks, types []string
	for _, line := range sqliteSchema(s.t) {
		f := strings.Fields(line)
		if f[0] == "column" && strings.HasPrefix(f[1], table+".") {
			names = append(names, strings.TrimPrefix(f[1], table+"."))
			types = append(types, f[2])
			marks = append(marks, fmt.Sprintf("$%d", len(names)))
		}
	}
	tx, err := s.raw.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range rows {
		args := make([]any, len(names))
		for i, kind := range types {
			args[i] = map[string]any{"text": fmt.Sprintf("%s-%04d", names[i], n), "integer": n, "boolean": false, "bytes": []byte("x")}[kind]
		}
		if _, err := tx.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, args...); err != nil {
			s.t.Fatalf("%s: %v", table, err)
		}
	}
	if err := tx.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// sealAll seals a text of its own into every row of a column, but leaves the last
// row empty.
func (s *sealed) sealAll(c store.SealedColumn) {
	s.t.Helper()
	sealer, column := sealers(s.t, 1), strings.TrimPrefix(c.Name, c.Table+".")
	key := strings.Join(c.Key, " || '|' || ")
	places := lines(s.t, s.raw, `SELECT `+key+`, `+c.Place+` FROM `+c.Table+` ORDER BY 1`)
	tx, err := s.raw.Begin()
	if err != nil {
		s.t.Fatal(err)
	}
	for i, line := range places {
		f := strings.Split(strings.TrimSuffix(line, "|"), "|")
		place := f[len(f)-1]
		value, err := sealer.Seal(c.Table, place, column, []byte("value of "+c.Name+" for "+place))
		if err != nil {
			s.t.Fatal(err)
		}
		if i == len(places)-1 {
			value = []byte{}
		}
		if _, err := tx.Exec(`UPDATE `+c.Table+` SET `+column+` = $1 WHERE `+key+` = $2`, value, strings.Join(f[:len(f)-1], "|")); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		s.t.Fatal(err)
	}
}

// under counts the values that are sealed under a key, with those that no setting
// and no column of the list hold.
func (s *sealed) under(key byte) (n int) {
	s.t.Helper()
	header := sealers(s.t, key).Header()
	for _, c := range store.SealedColumns() {
		var some int
		err := s.raw.QueryRow(`SELECT COUNT(*) FROM `+c.Table+` WHERE substr(`+strings.TrimPrefix(c.Name, c.Table+".")+`, 1, 9) = $1`, header).Scan(&some)
		if err != nil {
			s.t.Fatal(err)
		}
		n += some
	}
	for _, stored := range column(s.t, s.raw, `SELECT value FROM app_settings`) {
		if value, err := base64.StdEncoding.DecodeString(stored); err == nil && bytes.HasPrefix(value, header) {
			n++
		}
	}
	return n
}

func onBothEngines(t *testing.T, test func(t *testing.T, place func(testing.TB, store.Options) store.Options)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e.place)
		})
	}
}

func TestReseal(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, place func(testing.TB, store.Options) store.Options) {
		s := everythingSealed(t, place)
		before := s.under(1)
		db := s.open(2, 1)
		macs, err := db.MACs(t.Context(), "code", "pin")
		if err != nil {
			t.Fatal(err)
		}
		looked, err := db.Sealed(t.Context())
		if err != nil || total(looked) != before-3 || looked.From == looked.To {
			t.Errorf("before: %+v, %v; want %d values", looked, err, before-3)
		}
		steps := 0
		done, err := db.Reseal(t.Context(), func(r store.Resealing) { steps++ })
		if err != nil || total(done) != 0 || steps < len(store.SealedColumns()) {
			t.Errorf("got %+v, %v after %d steps", done, err, steps)
		}
		if old, anew := s.under(1), s.under(2); old != 0 || anew != before {
			t.Errorf("%d values under the old key, %d under the new one; want 0, %d", old, anew, before)
		}
		if again, err := db.Reseal(t.Context(), nil); err != nil || again.From != again.To {
			t.Errorf("again: %+v, %v", again, err)
		}
		closed(t, db)

		db = s.open(2) // the new key alone
		defer closed(t, db)
		if looked, err := db.Sealed(t.Context()); err != nil || total(looked) != 0 {
			t.Errorf("afterwards: %+v, %v", looked, err)
		}
		after, err := db.MACs(t.Context(), "code", "pin")
		if err != nil || !bytes.Equal(macs.MAC("pin", []byte("123456")), after.MAC("pin", []byte("123456"))) {
			t.Errorf("an HMAC has changed with the key: %v", err)
		}
		entries, err := db.Audit().List(t.Context(), audit.Filter{Action: "kek.rotate"})
		if err != nil || len(entries) != 1 || entries[0].Detail["from"] != looked.From || entries[0].Detail["to"] != looked.To {
			t.Errorf("trail: %+v, %v", entries, err)
		}
		o := s.options
		o.Sealer = sealer(t, 1)
		if old, err := store.Open(t.Context(), o); !errors.Is(err, store.ErrWrongKey) {
			closed(t, old)
			t.Errorf("the old key: got %v, want ErrWrongKey", err)
		}
	})
}

func total(r store.Resealing) int {
	_, left := r.Total()
	return left
}

// TestResealBegunIsKnown: once a value may be sealed under the new key, the old
// one alone does not open the database.
func TestResealBegunIsKnown(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, place func(testing.TB, store.Options) store.Options) {
		s := &sealed{t: t, options: place(t, store.Options{})}
		closed(t, s.open(1))
		closed(t, s.open(2, 1)) // is what a server does, too
		for name, with := range map[string]*secret.Sealer{"old alone": sealers(t, 1), "another": sealers(t, 3, 1), "new alone": sealers(t, 2)} {
			o := s.options
			o.Sealer = with
			db, err := store.Open(t.Context(), o)
			if !errors.Is(err, store.ErrWrongKey) {
				closed(t, db)
				t.Errorf("%s: got %v, want ErrWrongKey", name, err)
			}
		}
		closed(t, s.open(1, 2)) // nothing is lost
		db := s.open(2, 1)
		if _, err := db.Reseal(t.Context(), nil); err != nil {
			t.Error(err)
		}
		closed(t, db)
		closed(t, s.open(2))
	})
}

// TestResealStopsAtWhatDoesNotOpen, names it, and leaves all else as usable as it was.
func TestResealStopsAtWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	s := everythingSealed(t, onSQLite)
	s.exec(`UPDATE certs_keys SET private_key = substr(private_key, 1, 30) || x'00' WHERE id = 'id-0001'`)
	db := s.open(2, 1)
	defer closed(t, db)
	for name, act := range map[string]func(context.Context) error{
		"dry":  func(ctx context.Context) error { _, err := db.Sealed(ctx); return err },
		"real": func(ctx context.Context) error { _, err := db.Reseal(ctx, nil); return err },
	} {
		if err := act(t.Context()); !errors.Is(err, secret.ErrOpen) || !strings.Contains(err.Error(), "certs_keys.private_key of id-0001") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	closed(t, s.open(1, 2))
}

// TestResealLeavesNothingOnTheDisk: what the old key opens is in no corner of the file.
func TestResealLeavesNothingOnTheDisk(t *testing.T) {
	t.Parallel()
	s := everythingSealed(t, onSQLite)
	header := sealers(t, 1).Header()
	if n := occurrences(t, s.options.Path, header); n == 0 {
		t.Fatal("the old key's values are not found even before: this test does not see them")
	}
	db := s.open(2, 1)
	defer closed(t, db)
	if _, err := db.Reseal(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := occurrences(t, s.options.Path, header); n != 0 {
		t.Errorf("%d values that the old key opens are left in the file or its log", n)
	}
}

// occurrences counts a header in a database's file and its log, as bytes and in base64.
func occurrences(t *testing.T, path string, header []byte) (n int) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		n += bytes.Count(content, header) + bytes.Count(content, []byte(base64.StdEncoding.EncodeToString(header)))
	}
	return n
}

// TestResealWantsServersStopped: while a server is on a PostgreSQL database nothing is
// sealed anew.
func TestResealWantsServersStopped(t *testing.T) {
	t.Parallel()
	s := &sealed{t: t, options: onPostgres(t, store.Options{})}
	served := s.options
	served.Sealer = sealers(t, 1)
	heard := make(chan struct{}, 16)
	served.OnNotify = func() { heard <- struct{}{} }
	server, err := store.Open(t.Context(), served)
	if err != nil {
		t.Fatal(err)
	}
	<-heard // it listens
	db := s.open(1)
	defer closed(t, db)
	if _, err := db.Reseal(t.Context(), nil); !errors.Is(err, store.ErrInUse) {
		t.Errorf("beside a server: got %v, want ErrInUse", err)
	}
	closed(t, server)
	if _, err := db.Reseal(t.Context(), nil); err != nil {
		t.Errorf("after it: %v", err)
	}
}
