package app_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/store/postgrestest"
)

// envEngine is "postgres" in a process whose servers keep their data there: each
// data directory has a database of its own.
const envEngine = "E2E_ENGINE"

// TestOnPostgres runs the tests of this binary once more, on PostgreSQL.
func TestOnPostgres(t *testing.T) {
	if os.Getenv(envEngine) != "" {
		t.Skip("this is the other engine")
	}
	t.Parallel()
	postgrestest.Need(t)
	// What was asked of this process is asked of that one: -run, -short, -v ...
	args := append([]string{}, os.Args[1:]...)
	for i, arg := range args {
		if strings.HasPrefix(arg, "-test.run=^TestOnPostgres") || strings.HasPrefix(arg, "-test.testlogfile=") || strings.HasPrefix(arg, "-test.paniconexit0") {
			args[i] = "-test.v=false"
		}
	}
	args = append(args, "-test.skip=^(TestOnPostgres|"+strings.Join(fileOnly, "|")+")$")
	if !soaking() && !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-test.run=") }) {
		args = append(args, "-test.run=^("+strings.Join(endToEnd, "|")+")$")
	}
	child := exec.Command(os.Args[0], args...)
	child.Env = append(os.Environ(), envEngine+"=postgres")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("on PostgreSQL: %v\n%s", err, out)
		return
	}
	t.Logf("on PostgreSQL: %s", out[strings.LastIndex(strings.TrimSpace(string(out)), "\n")+1:])
}

// endToEnd are the tests that lead phones and admins through the whole house, and
// those of several servers and of their death: these run on both engines every
// time. The others, which differ by no statement of SQL that storetest has not run on
// both, do in the soak, and so do the deaths at every commit and the renewal of a
// whole fleet; together they would take longer than CI may.
var endToEnd = []string{"TestScenarios", "TestStory", "TestAndroidStory", "TestAndroidCertificateStory", "TestKnoxStory", "TestAndroidGate", "TestNotificationsLostDoubledLate", "TestTemplateChange", "TestLeave", "TestTakeoverIsHeld", "TestRetireShutsTheMailbox",
	"TestTwoServers", "TestRestoredDump", "TestKilledAtRandom"}

// fileOnly are tests that look into the database's file, or fill its disk.
var fileOnly = []string{"TestEverySettingReachesThePhone", "TestFullDisk", "TestReplayedEnrolmentChangesNothing", "TestReplayedTokenChangesNothing"}

// databases gives each data directory its database. The zero value gives none:
// the data directory holds it.
type databases struct {
	cluster *postgrestest.Shared

	mu  sync.Mutex
	url map[string]string // by directory
}

var engine databases

// onPostgres skips a test where it runs on the other engine.
func onPostgres(t *testing.T) {
	t.Helper()
	if engine.cluster == nil {
		t.Skip("runs on PostgreSQL: TestOnPostgres does it")
	}
	t.Parallel()
}

// share gives the other directories the database of the first.
func (d *databases) share(dir string, others ...string) {
	url := d.of(dir).Reveal()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, other := range others {
		d.url[other] = url
	}
}

// of returns the database of a directory, a zero one for a file in it.
func (d *databases) of(dir string) config.DatabaseURL {
	if d.cluster == nil {
		return config.DatabaseURL{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	url, known := d.url[dir]
	if !known {
		var err error
		if url, err = d.cluster.Create(); err != nil {
			panic(err) // there is no test to blame
		}
		d.url[dir] = url
	}
	return config.NewDatabaseURL(url)
}

// copied gives dir a copy of the database of from, whose servers have stopped.
func (d *databases) copied(t *testing.T, from, dir string) {
	t.Helper()
	if d.cluster == nil {
		return
	}
	url, err := d.cluster.CreateFrom(d.of(from).Reveal())
	must(t, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.url[dir] = url
}
