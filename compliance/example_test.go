package compliance_test

import (
	"fmt"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

func ExampleEvaluate() {
	spec, err := compliance.ParsePolicy([]byte(`
name: standard
assign: everyone
rules:
  passcode: true
  minimum_os: "17.0"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	present, compliant := true, true
	policy := &compliance.Policy{Name: spec.Name, Number: 1, Spec: spec}
	expected := compliance.Expected{EnrollmentID: "e1", Platform: mdm.Apple, State: mdm.Configured, LastSeenAt: now}
	report := mdm.Report{
		Device:   &mdm.DeviceFacts{At: now, OSVersion: "16.1"},
		Security: &mdm.SecurityFacts{At: now, PasscodePresent: &present, PasscodeCompliant: &compliant},
	}

	verdict := compliance.Evaluate(policy, expected, report, compliance.Verdict{}, now)
	fmt.Println(verdict.State)
	for _, f := range verdict.Findings {
		fmt.Printf("%s %s: %s\n", f.Rule, f.State, f.Fact)
	}
	// Output:
	// not_compliant
	// enrolled met: the phone is managed
	// passcode met: a passcode is set and meets the requirements
	// minimum_os failed: iOS 16.1
}
