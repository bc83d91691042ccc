package main

import (
	"strings"

	"sallyport/templates"
)

type profileVarsCmd struct{ Output }

func (c *profileVarsCmd) Run(p *program) error {
	return list(p, c.Output, templates.Variables(), "VARIABLE ALIASES FROM EMPTY NEVER-TOLD-BY MEANING", func(v templates.VariableInfo) []string {
		aliases := make([]string, 0, len(v.Aliases))
		for _, a := range v.Aliases {
			aliases = append(aliases, "%"+a+"%")
		}
		from := "user: " + v.Source
		if v.Device {
			from = "phone: " + v.Source
		}
		empty := "refused"
		if v.MayBeEmpty {
			empty = "allowed"
		}
		return []string{"%" + v.Name + "%", strings.Join(aliases, " "), from, empty, strings.Join(v.Lacking, ", "), v.Description}
	})
}
