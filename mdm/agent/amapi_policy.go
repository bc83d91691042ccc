package agent

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// policyID: what Google's own documents and clients use; a slash would be
// another path.
var policyID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

var modifiablePolicy = not("name", "version")

// policyName resolves the name that a token or a device is given: the whole one,
// or its last part alone. Empty is "default".
func (a *AMAPI) policyName(c *call, name string) (string, *apiError) {
	if name == "" {
		name = "default"
	}
	id, whole := strings.CutPrefix(name, c.enterprise()+"/policies/")
	if !policyID.MatchString(id) {
		return "", broken("policy_name", "Invalid policy name%s.", map[bool]string{true: "", false: ", or one of another enterprise"}[whole])
	}
	return c.enterprise() + "/policies/" + id, nil
}

func (a *AMAPI) policy(c *call) (*enterprise, object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, nil, no
	}
	p := e.Policies[c.parts[1]]
	if p == nil {
		return e, nil, missing("policy")
	}
	return e, p, nil
}

func (a *AMAPI) getPolicy(c *call) (object, *apiError) {
	_, p, no := a.policy(c)
	return p, no
}

// patchPolicy updates a policy, or creates it.
func (a *AMAPI) patchPolicy(c *call) (object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, no
	}
	id := c.parts[1]
	name := c.enterprise() + "/policies/" + id
	if named := str(c.body, "name"); !policyID.MatchString(id) || named != "" && named != name {
		return nil, broken("policy.name", "Invalid policy name, or not that of the URL.")
	}
	m, no := a.schema.readMask("Policy", c.query.Get("updateMask"), modifiablePolicy)
	if no != nil {
		return nil, no
	}
	return a.put(e, name, m.apply(e.Policies[id], c.body, modifiablePolicy))
}

// put checks a policy and keeps it. Its version counts up when something in it
// changed, and only then.
func (a *AMAPI) put(e *enterprise, name string, p object) (object, *apiError) {
	if no := a.checkPolicy(p); no != nil {
		return nil, no
	}
	p = a.schema.stored("Policy", p)
	old := e.Policies[lastPart(name)]
	p["name"], p["version"] = name, "1"
	if old != nil {
		p["version"] = old["version"]
		if !same(p, old) {
			n, _ := strconv.ParseInt(str(old, "version"), 10, 64)
			p["version"] = strconv.FormatInt(n+1, 10)
		}
	}
	e.Policies[lastPart(name)] = p
	return p, nil
}

func (a *AMAPI) listPolicies(c *call) (object, *apiError) {
	e, no := a.own(c)
	if no != nil {
		return nil, no
	}
	some, next := page(slices.Collect(maps.Keys(e.Policies)), c.size(), c.query.Get("pageToken"))
	out := []any{}
	for _, id := range some {
		out = append(out, e.Policies[id])
	}
	return object{"policies": out, "nextPageToken": next}, nil
}

// deletePolicy is only permitted if no devices are currently referencing it.
func (a *AMAPI) deletePolicy(c *call) (object, *apiError) {
	e, p, no := a.policy(c)
	if no != nil {
		return nil, no
	}
	for _, d := range a.s.Devices {
		if !d.Deleted && d.Doc["policyName"] == p["name"] {
			return nil, unready("The policy is applied to a device.")
		}
	}
	delete(e.Policies, c.parts[1])
	return object{}, nil
}

// modifyApplications changes or adds applications and leaves all else as it is.
func (a *AMAPI) modifyApplications(c *call) (object, *apiError) {
	e, p, no := a.policy(c)
	if no != nil {
		return nil, no
	}
	changes := list(c.body, "changes")
	if len(changes) == 0 {
		return nil, broken("changes", "There must be at least one ApplicationPolicyChange.")
	}
	p = clone(p)
	apps, _ := p["applications"].([]any)
	seen := map[string]bool{}
	for _, change := range changes {
		app := inner(change, "application")
		pkg := str(app, "packageName")
		if pkg == "" || seen[pkg] {
			return nil, broken("changes.application.package_name", "The package name is missing, or stands there twice.")
		}
		seen[pkg] = true
		m, no := a.schema.readMask("ApplicationPolicy", str(change, "updateMask"), not("packageName"))
		if no != nil {
			return nil, no
		}
		at := slices.IndexFunc(apps, func(one any) bool { o, _ := one.(object); return str(o, "packageName") == pkg })
		if at < 0 {
			apps = append(apps, m.apply(object{"packageName": pkg}, app, not("packageName")))
			continue
		}
		old, _ := apps[at].(object)
		apps[at] = m.apply(old, app, not("packageName"))
	}
	p["applications"] = apps
	out, no := a.put(e, str(p, "name"), p)
	return object{"policy": out}, no
}

func (a *AMAPI) removeApplications(c *call) (object, *apiError) {
	e, p, no := a.policy(c)
	if no != nil {
		return nil, no
	}
	names := texts(c.body, "packageNames")
	if len(names) == 0 {
		return nil, broken("package_names", "There must be at least one entry in package_names.")
	}
	p = clone(p)
	apps, _ := p["applications"].([]any)
	p["applications"] = slices.DeleteFunc(apps, func(one any) bool {
		o, _ := one.(object)
		return slices.Contains(names, str(o, "packageName"))
	})
	out, no := a.put(e, str(p, "name"), p)
	return object{"policy": out}, no
}

// int64Of reads an int64, which is text in JSON.
func int64Of(o object, key string) int64 {
	n, _ := strconv.ParseInt(str(o, key), 10, 64)
	return n
}

func numberOf(n int) json.Number { return json.Number(strconv.Itoa(n)) }
