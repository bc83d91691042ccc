package compliance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Custom is a rule in the administrator's own words: an expression in the Common
// Expression Language (https://cel.dev) over what Variables names, true where the
// phone is as it should be.
//
// What an expression names and the phone has not reported makes it not_reported,
// even where the expression could do without; and so does whatever goes wrong
// while it is computed. It is never met by accident.
type Custom struct {
	Name       string `yaml:"name" json:"name"`
	Expression string `yaml:"expression" json:"expression"`
	Fact       string `yaml:"fact" json:"fact"` // what is, where the rule is failed
	Fix        string `yaml:"fix" json:"fix"`   // what the phone's owner should do then

	owner   string   // the policy, where several were combined
	program *program // of Expression, once it was made ready
}

const (
	maxCustom     = 20
	maxExpression = 2048 // bytes
	maxNesting    = 32
	maxText       = 500    // bytes of a fact or a fix
	maxCost       = 20_000 // CEL's own unit: a comparison is about 1
)

// program is an expression that was checked.
type program struct {
	run   cel.Program
	names []string // the variables that it names
}

// variable is an attribute that expressions may name.
type variable struct {
	name string
	kind *cel.Type
	// value is nil where it was not reported.
	value func(Expected, mdm.Report) any
}

// variables are what an expression may name. None of them changes with time alone.
func variables() []variable {
	device := func(get func(*mdm.DeviceFacts) any) func(Expected, mdm.Report) any {
		return func(_ Expected, r mdm.Report) any { return from(r.Device, get) }
	}
	security := func(get func(*mdm.SecurityFacts) any) func(Expected, mdm.Report) any {
		return func(_ Expected, r mdm.Report) any { return from(r.Security, get) }
	}
	text := func(name string, get func(*mdm.DeviceFacts) string) variable {
		return variable{"device." + name, cel.StringType, device(func(d *mdm.DeviceFacts) any { return given(get(d)) })}
	}
	flag := func(name string, get func(*mdm.SecurityFacts) *bool) variable {
		return variable{"security." + name, cel.BoolType, security(func(s *mdm.SecurityFacts) any { return pointed(get(s)) })}
	}
	texts := cel.ListType(cel.StringType)
	return []variable{
		{"platform", cel.StringType, func(e Expected, _ mdm.Report) any { return string(e.Platform) }},
		{"ownership", cel.StringType, func(e Expected, _ mdm.Report) any { return given(string(e.Ownership)) }},
		{"user.upn", cel.StringType, func(e Expected, _ mdm.Report) any { return given(e.UPN) }},
		{"user.groups", texts, func(e Expected, _ mdm.Report) any { return e.Groups }},
		text("name", func(d *mdm.DeviceFacts) string { return d.Name }),
		text("product", func(d *mdm.DeviceFacts) string { return d.Product }),
		text("model", func(d *mdm.DeviceFacts) string { return d.Model }),
		text("os_version", func(d *mdm.DeviceFacts) string { return d.OSVersion }),
		text("build", func(d *mdm.DeviceFacts) string { return d.Build }),
		text("serial", func(d *mdm.DeviceFacts) string { return d.Serial }),
		{"device.supervised", cel.BoolType, device(func(d *mdm.DeviceFacts) any { return pointed(d.Supervised) })},
		flag("passcode_present", func(s *mdm.SecurityFacts) *bool { return s.PasscodePresent }),
		flag("passcode_compliant", func(s *mdm.SecurityFacts) *bool { return s.PasscodeCompliant }),
		flag("passcode_compliant_with_profiles", func(s *mdm.SecurityFacts) *bool { return s.PasscodeCompliantWithProfiles }),
		flag("encrypted", func(s *mdm.SecurityFacts) *bool { return s.Encrypted }),
		{"security.posture", cel.StringType, security(func(s *mdm.SecurityFacts) any { return given(string(s.Posture)) })},
		{"security.risks", texts, func(_ Expected, r mdm.Report) any {
			if r.Security == nil || r.Security.Posture == "" {
				return nil
			}
			return append([]string{}, r.Security.Risks...)
		}},
		{"policy.compliant", cel.BoolType, func(_ Expected, r mdm.Report) any {
			return from(r.Policy, func(f *mdm.PolicyFacts) any { return pointed(f.Compliant) })
		}},
		{"security.hardware_encryption_caps", cel.IntType, security(func(s *mdm.SecurityFacts) any { return pointed(s.HardwareEncryptionCaps) })},
		{"restrictions.account_modification", cel.BoolType, func(_ Expected, r mdm.Report) any {
			return from(r.Restrictions, func(f *mdm.RestrictionFacts) any { return pointed(f.AccountModification) })
		}},
		{"profiles", texts, func(_ Expected, r mdm.Report) any {
			return from(r.Profiles, func(f *mdm.ProfileFacts) any {
				return names(f.Items, func(p mdm.ProfileOnFile) string { return p.Identifier })
			})
		}},
		{apps, texts, func(_ Expected, r mdm.Report) any {
			return from(r.Applications, func(f *mdm.ApplicationFacts) any {
				return names(f.Items, func(a mdm.ApplicationOnFile) string { return a.Identifier })
			})
		}},
	}
}

// apps is the variable for which a phone must be asked more than usual.
const apps = "apps"

// Variables are the names that an expression may use.
func Variables() []string {
	return names(variables(), func(v variable) string { return v.name })
}

func from[F any](facts *F, get func(*F) any) any {
	if facts == nil {
		return nil
	}
	return get(facts)
}

func given(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func pointed[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func names[T any](items []T, name func(T) string) []string {
	list := make([]string, len(items))
	for i, item := range items {
		list[i] = name(item)
	}
	return list
}

// language is what expressions are checked against. Making one takes a
// millisecond, so that it is made once for all rules of a policy.
func language() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNesting),
		cel.Function("at_least", cel.Overload("at_least_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(atLeast))),
	}
	for _, v := range variables() {
		options = append(options, cel.Variable(v.name, v.kind))
	}
	return cel.NewEnv(options...)
}

// atLeast is at_least(have, want): versions compared as minimum_os does.
func atLeast(have, want ref.Val) ref.Val {
	h, ok := parseVersion(fmt.Sprint(have.Value()))
	w, ok2 := parseVersion(fmt.Sprint(want.Value()))
	if !ok || !ok2 {
		return types.NewErr("not a version")
	}
	return types.Bool(h.atLeast(w))
}

// compile checks an expression: it must say true or false.
func compile(env *cel.Env, expression string) (*program, error) {
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, errors.New(strings.Join(strings.Fields(issues.Err().Error()), " "))
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("says %s, not true or false", ast.OutputType())
	}
	run, err := env.Program(ast, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	p := &program{run: run}
	known := Variables()
	for _, r := range ast.NativeRep().ReferenceMap() {
		if slices.Contains(known, r.Name) && !slices.Contains(p.names, r.Name) {
			p.names = append(p.names, r.Name)
		}
	}
	slices.Sort(p.names)
	return p, nil
}

// Ready returns the policies with their expressions compiled, for who evaluates
// many phones. Evaluate does it by itself where it was not done, each time.
func Ready(policies []Policy) []Policy {
	ready := slices.Clone(policies)
	for i, p := range ready {
		ready[i].Spec.Rules.Custom = readied(p.Spec.Rules.Custom)
	}
	return ready
}

func readied(list []Custom) []Custom {
	if !slices.ContainsFunc(list, func(c Custom) bool { return c.program == nil }) {
		return list
	}
	list = slices.Clone(list)
	env, err := language()
	for i := range list {
		if err == nil && list[i].program == nil {
			list[i].program, _ = compile(env, list[i].Expression) // one that is not accepted any more stays unready: not_reported
		}
	}
	return list
}

// ruleCustom computes one expression.
func ruleCustom(c Custom, e Expected, r mdm.Report) outcome {
	rule := RuleName(customPrefix + c.Name)
	o := met(rule, c.Name+" is as it should be", time.Time{})
	missing, holds, err := c.program.eval(e, r)
	switch {
	case len(missing) > 0:
		o = unasked(rule, "the phone has not told "+strings.Join(missing, ", "))
	case err != nil:
		o = unasked(rule, "this cannot be told of the phone: "+err.Error())
		o.Fix = "Ask your administrator: a rule of the organisation cannot be computed for this phone."
	case !holds:
		o = failed(rule, c.Fact, c.Fix)
		o.Reported = slices.ContainsFunc(c.program.names, ofThePhone)
	}
	o.Expected = c.Name
	return o
}

// ofThePhone reports whether the phone itself tells a variable.
func ofThePhone(name string) bool {
	return name != "platform" && name != "ownership" && !strings.HasPrefix(name, "user.")
}

var errUnready = errors.New("its expression is not accepted")

func (p *program) eval(e Expected, r mdm.Report) (missing []string, holds bool, err error) {
	if p == nil {
		return nil, false, errUnready
	}
	values := map[string]any{}
	for _, v := range variables() {
		if !slices.Contains(p.names, v.name) {
			continue
		}
		if values[v.name] = v.value(e, r); values[v.name] == nil {
			missing = append(missing, v.name)
		}
	}
	if len(missing) > 0 {
		return missing, false, nil
	}
	result, _, err := p.run.Eval(values)
	if err != nil {
		return nil, false, err
	}
	holds, ok := result.Value().(bool)
	if !ok {
		return nil, false, fmt.Errorf("it says %s", result.Type())
	}
	return nil, holds, nil
}

// checkCustom refuses what is not to be computed. Each expression is compiled.
func checkCustom(list []Custom) refusal.List {
	var faults refusal.List
	if len(list) > maxCustom {
		faults.Add(refusal.New(ErrInvalid, "rules.custom", fmt.Sprintf("has %d rules", len(list)), fmt.Sprintf("use at most %d", maxCustom)))
		return faults
	}
	if len(list) == 0 {
		return nil
	}
	env, err := language()
	if err != nil {
		faults.Add(refusal.New(ErrInvalid, "rules.custom", err.Error(), ""))
		return faults
	}
	seen := map[string]bool{}
	for i, c := range list {
		field := fmt.Sprintf("rules.custom[%d].", i)
		if !namePattern.MatchString(c.Name) || seen[c.Name] {
			faults.Add(refusal.New(ErrInvalid, field+"name", "must be 1 to 63 lower case letters, digits and dashes, and another one for each rule", "for example asset-tag"))
		}
		seen[c.Name] = true
		for _, said := range []struct{ key, text string }{{"fact", c.Fact}, {"fix", c.Fix}} {
			if strings.TrimSpace(said.text) == "" {
				faults.Add(refusal.New(ErrInvalid, field+said.key, "is missing", "say it to the phone's owner, in plain words"))
			}
			faults.Add(refusal.Line(ErrInvalid, field+said.key, said.text, maxText))
		}
		if len(c.Expression) > maxExpression {
			faults.Add(refusal.New(ErrInvalid, field+"expression", fmt.Sprintf("is longer than %d bytes", maxExpression), "split it into several rules"))
		} else if _, err := compile(env, c.Expression); err != nil {
			faults.Add(refusal.New(ErrInvalid, field+"expression", err.Error(), "use "+strings.Join(Variables(), ", ")+", and at_least(version, version)"))
		}
	}
	return faults
}
