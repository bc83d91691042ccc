package main

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/internal/app"
	"sallyport/internal/server/accessapi"
)

// gate is a phone's mail client at the gate of the server whose data is in d, as
// nginx asks for it. Events travel behind the answers, so it comes until it is
// answered as wanted:
//
//	gate TOKENFILE USER DEVICEID allow|quarantine|block
func gate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: gate TOKENFILE USER DEVICEID allow|quarantine|block")
	}
	local, err := app.ReadLocal(ts.MkAbs("d"))
	ts.Check(err)
	req, err := http.NewRequest(http.MethodGet, local.URL+"/access/auth", nil)
	ts.Check(err)
	login, _, _ := strings.Cut(args[1], "@")
	req.SetBasicAuth(args[1], "no business of the gate's")
	query := url.Values{"Cmd": {"Sync"}, "User": {login}, "DeviceId": {args[2]}, "DeviceType": {"iPhone"}}
	for name, value := range map[string]string{
		"X-Sallyport-Token": strings.TrimSpace(ts.ReadFile(args[0])), "X-Original-Method": http.MethodPost, "X-Original-Address": "192.0.2.7",
		"X-Original-URI": "/Microsoft-Server-ActiveSync?" + query.Encode(), "User-Agent": "Apple-iPhone14C5/2201.1", "MS-ASProtocolVersion": "16.1",
	} {
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err := client.Do(req)
		ts.Check(err)
		_ = answer.Body.Close()
		decision := answer.Header.Get(accessapi.HeaderDecision)
		if decision == args[3] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the gate answers %s, %q, %s", answer.Status, decision, answer.Header.Get(accessapi.HeaderFault))
		}
	}
}
