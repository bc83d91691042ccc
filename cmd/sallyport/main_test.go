package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyport": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script: the command line as a person types it,
// against a real server where one is needed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: false,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"makecert": makeCert, "fill": fill, "tamper": tamper, "phone": phone, "capture": capture, "makep12": makeP12, "makezip": makeZip, "openp12": openP12, "fetch": fetch, "gate": gate, "until": until,
		},
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"SALLYPORT_DATA", "SALLYPORT_SERVER", "SALLYPORT_TOKEN"} {
				env.Setenv(name, "")
			}
			return nil
		},
	})
}
