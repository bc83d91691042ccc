package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/app"
	"sallyport/mdm/agent"
)

// phone is a software iPhone for scripts, whose server keeps its data in d. $DIR
// is its ActiveSync DeviceId, by which the command line knows it:
//
//	phone DIR enroll FILE      with the invitation whose URL is FILE's first line
//	phone DIR connect
//	phone DIR set KEY=VALUE…
//	phone DIR leave            the server does not hear of it when lose-checkout is set
func phone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: phone DIR enroll FILE|connect|set KEY=VALUE…|leave")
	}
	block, _ := pem.Decode([]byte(ts.ReadFile(filepath.Join("d", app.RootFile))))
	if block == nil {
		ts.Fatalf("no root certificate in d")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	ts.Check(err)
	p, err := agent.New(agent.Options{
		Dir: ts.MkAbs(args[0]), CA: []*x509.Certificate{root},
		Story: func(step, text string) { ts.Logf("phone: %s %s", step, text) },
	})
	ts.Check(err)
	defer p.Close()
	shown, err := p.Show()
	ts.Check(err)
	ts.Setenv(args[0], shown.EASDeviceID)
	switch ctx, rest := context.Background(), args[2:]; args[1] {
	case "enroll":
		invitation, _, _ := strings.Cut(ts.ReadFile(rest[0]), "\n")
		ts.Check(p.Enroll(ctx, invitation))
	case "connect":
		ts.Check(p.Connect(ctx))
	case "set":
		ts.Check(p.Set(rest...))
	case "leave":
		ts.Check(p.Unenroll(ctx))
	default:
		ts.Fatalf("phone does not know %s", args[1])
	}
}

// capture sets $NAME to what the group of the pattern finds in FILE, or stdout.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture NAME FILE PATTERN")
	}
	pattern, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s holds no %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}
