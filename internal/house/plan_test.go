package house

import "strings"

const module = "sallyport"

// leaf is the floor of packages that every room may import.
const leaf = -1

// room is a package, or with its sub-packages one room, on a floor.
type room struct {
	floor int
	whole bool // sub-packages belong to the room and may import each other
}

// plan is the house: each package has a room, and imports only leaves and rooms
// on lower floors. A new room, or an exception, needs an entry in docs/adr.
func plan() map[string]room {
	rooms := map[string]room{
		"cmd/sallyport":       {floor: 6},
		"cmd/sallyport-agent": {floor: 6},

		"internal/app": {floor: 5},

		"internal/store": {floor: 4, whole: true},

		"internal/server": {floor: 3, whole: true},
		"access/gateway":  {floor: 3},
		"access/exchange": {floor: 3},
		"mdm/agent":       {floor: 3, whole: true},

		"enroll": {floor: 2},
		"access": {floor: 2},

		"templates":   {floor: 1, whole: true},
		"compliance":  {floor: 1},
		"certs/scep":  {floor: 1},
		"mdm/apple":   {floor: 1, whole: true},
		"mdm/android": {floor: 1},
		"access/eas":  {floor: 1},

		"profiles":               {floor: 0},
		"profiles/mobileconfig":  {floor: 0},
		"profiles/managedconfig": {floor: 0},
		"certs":                  {floor: 0},
		"mdm":                    {floor: 0},
	}
	for _, path := range []string{
		"api", "enroll/directory",
		"internal/appleschema", "internal/audit", "internal/auth", "internal/bounded", "internal/cms", "internal/cms/openssltest", "internal/config",
		"internal/house", "internal/lapse", "internal/logkey", "internal/notify", "internal/notify/notifytest", "internal/refusal", "internal/secret", "internal/web",
		"internal/work", "internal/yamldoc",
	} {
		rooms[path] = room{floor: leaf}
	}
	return rooms
}

// keeper names the packages that alone may import something dangerous.
type keeper struct {
	imports []string // prefixes of import paths
	only    []string // packages, with their sub-packages
	why     string
}

func keepers() []keeper {
	return []keeper{
		{[]string{"github.com/labstack/echo"}, []string{"internal/server"}, "v4's support ends on 2026-12-31: a move must touch one room"},
		{[]string{"database/sql", "github.com/jackc/pgx", "github.com/lib/pq", "github.com/pressly/goose", "modernc.org/sqlite"}, []string{"internal/store"}, "all SQL stands in one room"},
		{[]string{"go.mozilla.org/pkcs7", "github.com/smallstep/pkcs7"}, []string{"internal/cms"}, "they panic, and default to DES and SHA-1 through package variables"},
		{[]string{"github.com/micromdm/scep", "github.com/smallstep/scep"}, []string{"certs", "certs/scep"}, "they panic on hostile messages, and check too little"},
		{[]string{"howett.net/plist", "github.com/micromdm/plist", "github.com/groob/plist"}, []string{"internal/bounded", "profiles/mobileconfig", "mdm/apple"}, "deep nesting kills the process: sizes and depths are checked first"},
		{[]string{"github.com/knadh/koanf"}, []string{"internal/config"}, "one room reads settings"},
		{[]string{"C"}, nil, "the default build is free of cgo"},
	}
}

// testOnly are packages that only tests may import.
func testOnly() []string {
	return []string{"internal/appleschema", "internal/cms/openssltest", "internal/store/storetest", "internal/store/postgrestest", "internal/notify/notifytest", "internal/house"}
}

// ownSide reports whether the package is the phone's half of the world. It uses
// the dangerous libraries itself, and of ours only leaves, so that in every test
// two implementations meet.
func ownSide(path string) bool {
	return path == "mdm/agent" || strings.HasPrefix(path, "mdm/agent/") || path == "cmd/sallyport-agent"
}
