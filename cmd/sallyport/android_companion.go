package main

import (
	"fmt"
	"net/http"
	"strings"

	"sallyport/enroll"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

type androidCompanionCmd struct {
	Set    companionSetCmd    `cmd:"" help:"Name the app that fetches certificates on Android phones."`
	Show   companionShowCmd   `cmd:"" help:"Show which app that is."`
	Remove companionRemoveCmd `cmd:"" help:"Have no such app any more."`
}

const companionPath = "/api/v1/android/companion"

type companionSetCmd struct {
	Package string `arg:"" help:"Its name in managed Google Play, for example com.example.agent."`
	Output
}

// Help is the detail under the usage line.
func (*companionSetCmd) Help() string {
	return `No such app comes with Sallyport: what it has to do is in docs/android-agent.md. Every Android phone whose mail account has identity: scep gets it, with the next change of its policy, which is made at once.

com.samsung.android.knox.kpu is Samsung's own plugin, which does it on phones of Samsung's that are managed as a whole, from Android 14 on: docs/android.md.`
}

func (c *companionSetCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var set enroll.AndroidCompanion
	if err := api.putJSON(p.ctx, companionPath, adminapi.CompanionInput{Package: c.Package}, &set); err != nil {
		return err
	}
	return printCompanion(p, c.Output, set)
}

type companionShowCmd struct{ Output }

func (c *companionShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var set enroll.AndroidCompanion
	if err := api.get(p.ctx, companionPath, nil, &set); err != nil {
		return err
	}
	return printCompanion(p, c.Output, set)
}

func printCompanion(p *program, o Output, c enroll.AndroidCompanion) error {
	if o.json() {
		return printJSON(p.stdout, c)
	}
	return facts(p.stdout, fact{"package", c.Package}, fact{"set", stamp(c.SetAt)})
}

type companionRemoveCmd struct{ Output }

func (c *companionRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, companionPath, "", nil, nil); err != nil {
		return err
	}
	return done{Action: "android.companion.remove"}.print(p, c.Output, "removed: phones keep the keys that they have, and no mail app is told of them any more\n")
}

// printKeys says how the keys stand that the companion app brings to an Android phone.
func printKeys(p *program, keys *mdm.KeyFacts) {
	if keys == nil || len(keys.Items) == 0 {
		return
	}
	fmt.Fprintln(p.stdout, "Keys")
	for _, k := range keys.Items {
		said := []string{"no certificate"}
		if k.SHA256 != "" {
			said[0] = "certificate " + short(k.SHA256) + ", told of" + on(k.At) + ", until " + stamp(k.NotAfter)
		}
		if k.Failure != "" {
			said = append(said, "the app failed"+on(k.FailedAt)+": "+cell(k.Failure))
		}
		fmt.Fprintf(p.stdout, "  %s  %s\n", cell(k.Alias), strings.Join(said, "; "))
	}
}
