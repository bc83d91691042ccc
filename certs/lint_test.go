package certs

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	zcrypto "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

type toleration struct {
	rules []RuleName // none: all
	why   string
	lints []string
}

// tolerated are the lints that our certificates do not pass, by rule, and why
// that is meant. Whatever is not named here must pass, and what is named here
// must be needed.
var tolerated = []toleration{
	{
		why:   "certificate transparency is for servers that strangers visit",
		lints: []string{"w_ct_sct_policy_count_unsatisfied"},
	},
	{
		rules: []RuleName{ruleRoot, ruleIssuing},
		why:   "we do not know the country of an organisation, and a wrong one is worse than none",
		lints: []string{"e_ca_country_name_missing"},
	},
	{
		rules: []RuleName{ruleRoot, ruleIssuing},
		why:   "a CA that answers no OCSP signs certificates and CRLs, and nothing else",
		lints: []string{"n_ca_digital_signature_not_set"},
	},
	{
		rules: []RuleName{ruleRoot},
		why:   "whoever gets the key of an issuing CA shall not make further ones; public roots leave that to their auditors",
		lints: []string{"w_root_ca_basic_constraints_path_len_constraint_field_present"},
	},
	{
		rules: []RuleName{ruleIssuing},
		why:   "no policy is promised to strangers, and an issuing CA is retired in the trust of those who have it: its root, which may be offline, signs no list",
		lints: []string{
			"e_sub_ca_certificate_policies_missing", "e_sub_ca_crl_distribution_points_missing",
			"w_sub_ca_aia_missing", "w_sub_ca_aia_does_not_contain_issuing_ca_url",
		},
	},
	{
		rules: []RuleName{ruleIssuing},
		why:   "it issues for clients, servers and mail alike",
		lints: []string{"n_mp_allowed_eku", "n_sub_ca_eku_missing"},
	},
	{
		rules: []RuleName{RuleMDMIdentity, RuleMailIdentity},
		why:   "a profile, or the answer to a SCEP renewal, is encrypted to the same key (RFC 8894, section 3.2)",
		lints: []string{"e_key_usage_and_extended_key_usage_inconsistent"},
	},
	{
		rules: []RuleName{RuleServer, RuleRA},
		why:   "the rules of the public web: no policy, OCSP or issuer's address is promised to strangers, and an organisation has no place",
		lints: []string{
			"e_sub_cert_aia_missing", "e_sub_cert_aia_does_not_contain_ocsp_url", "w_sub_cert_aia_does_not_contain_issuing_ca_url",
			"e_sub_cert_certificate_policies_missing", "e_sub_cert_cert_policy_empty",
			"e_sub_cert_country_name_must_appear", "e_sub_cert_locality_name_must_appear", "e_sub_cert_province_must_appear",
			"w_subject_common_name_included",
		},
	},
	{
		rules: []RuleName{RuleServer},
		why:   "the command line on the same machine speaks to localhost",
		lints: []string{"e_dnsname_not_valid_tld", "n_san_iana_pub_suffix_empty", "e_ext_san_contains_reserved_ip"},
	},
	{
		rules: []RuleName{RuleRA},
		why:   "without an extended usage it passes for a server's certificate; SCEP clients built on OpenSSL refuse it with one",
		lints: []string{
			"e_sub_cert_eku_missing", "e_ext_san_missing", "e_subject_common_name_not_exactly_from_san",
			"e_dnsname_bad_character_in_label", "e_dnsname_not_valid_tld",
			"e_tls_server_cert_valid_time_longer_than_398_days", "w_tls_server_cert_valid_time_longer_than_397_days",
		},
	},
}

func tolerates(rule RuleName, id string) (int, bool) {
	i := slices.IndexFunc(tolerated, func(e toleration) bool {
		return (len(e.rules) == 0 || slices.Contains(e.rules, rule)) && slices.Contains(e.lints, id)
	})
	return i, i >= 0
}

// TestLint: every rule, under each kind of issuing key and for each kind of key
// that it certifies, passes every lint that is not named above.
func TestLint(t *testing.T) {
	t.Parallel()
	needed, passed := map[string]bool{}, map[lint.LintSource]int{}
	rules := map[RuleName]bool{}
	for _, s := range samples(t) {
		rules[s.rule] = true
		cert, err := zcrypto.ParseCertificate(s.der)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		for id, r := range zlint.LintCertificate(cert).Results {
			if r.Status == lint.Pass {
				passed[lint.GlobalRegistry().CertificateLints().ByName(id).Source]++
			}
			if r.Status <= lint.Pass {
				continue
			}
			if i, ok := tolerates(s.rule, id); ok {
				needed[fmt.Sprint(i, id)] = true
				continue
			}
			t.Errorf("%s: %s: %s %s", s, id, r.Status, r.Details)
		}
	}
	for i, entry := range tolerated {
		for _, id := range entry.lints {
			if !needed[fmt.Sprint(i, id)] {
				t.Errorf("%s is tolerated for %v, and passes", id, entry.rules)
			}
		}
	}
	for rule := range issuanceRules {
		if !rules[rule] {
			t.Errorf("nothing of the rule %s was linted", rule)
		}
	}
	for _, source := range []lint.LintSource{lint.RFC5280, lint.RFC8813, lint.CABFSMIMEBaselineRequirements} {
		if passed[source] == 0 {
			t.Errorf("no lint of %s applied to anything", source)
		}
	}
}

// TestLintCRL lints a list with and without entries.
func TestLintCRL(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, kind := range []KeyKind{KeyP256, KeyRSA2048} {
		active, _ := newFamily(t, kind, now).active()
		for _, revoked := range [][]Revoked{nil, {{Serial: "4a01", RevokedAt: now}, {Serial: "4a02", RevokedAt: now, Reason: ReasonKeyCompromise}}} {
			list, err := revocationList(revoked, now, nil)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.CreateRevocationList(rand.Reader, list, active.cert, active.key)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := zcrypto.ParseRevocationList(der)
			if err != nil {
				t.Fatal(err)
			}
			for id, r := range zlint.LintRevocationList(parsed).Results {
				if r.Status > lint.Pass {
					t.Errorf("%s, %d entries: %s: %s %s", kind, len(revoked), id, r.Status, r.Details)
				}
			}
		}
	}
}

// sample is a certificate as we issue it.
type sample struct {
	rule RuleName
	name string
	der  []byte
}

func (s sample) String() string { return string(s.rule) + ", " + s.name }

func lintMaker(now time.Time) maker {
	return maker{organization: "Example", crlURL: "http://mdm.example.test", now: now}
}

func newFamily(t *testing.T, kind KeyKind, now time.Time) family {
	t.Helper()
	members, err := lintMaker(now).first(kind)
	if err != nil {
		t.Fatal(err)
	}
	f := family{}
	for _, m := range members {
		f = f.with(m)
	}
	return f
}

// samples are certificates of every rule.
func samples(t *testing.T) []sample {
	t.Helper()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var list []sample
	for _, kind := range []KeyKind{KeyP256, KeyP384, KeyRSA2048} {
		f := newFamily(t, kind, now)
		server, err := lintMaker(now).create(f, roleServer, KeyP256, names{hosts: hosts{
			dns: []string{"localhost", "mdm.example.test"}, ips: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		}})
		if err != nil {
			t.Fatal(err)
		}
		for role, members := range f.with(server) {
			list = append(list, sample{kinds[role].rule, "under " + string(kind), members[0].cert.Raw})
		}
		active, _ := f.active()
		for _, own := range []KeyKind{KeyP256, KeyP384, KeyRSA2048} {
			list = append(list, personal(t, active, own, now)...)
		}
	}
	return list
}

// personal are certificates of every rule that names a person, for one key.
func personal(t *testing.T, active member, own KeyKind, now time.Time) []sample {
	t.Helper()
	key, err := own.newKey()
	if err != nil {
		t.Fatal(err)
	}
	var list []sample
	for name, r := range issuanceRules {
		if !r.listed || r.rsa && own != KeyRSA2048 {
			continue
		}
		for _, n := range []names{
			{upn: "alice@example.test", mail: "alice.a@example.test"},
			{upn: "jörg@exämple.test", mail: "jörg@exämple.test"},
			{upn: "alice@example.test"},
			{},
		} {
			if r.mail && n.mail == "" {
				continue
			}
			c := content{
				subject: pkix.Name{Organization: []string{"Example"}, CommonName: commonName("Jörg " + n.mail)},
				names:   n, serial: newSerial(), key: key.Public(),
			}
			c.notBefore, c.notAfter = r.period(now)
			cert, err := sign(r, c, &active, nil)
			if err != nil {
				t.Fatal(err)
			}
			title := strings.Join([]string{string(own), n.mail, "under", string(kindOf(active.key.Public()))}, " ")
			list = append(list, sample{name, title, cert.Raw})
			if r.mail {
				list = append(list, sample{name, "of a public CA: " + title, public(t, r, c, active)})
			}
		}
	}
	return list
}

// public is the same certificate with the policy of the CA/Browser Forum's S/MIME
// requirements (sponsor-validated, multipurpose): without it those lints look away.
func public(t *testing.T, r rule, c content, active member) []byte {
	t.Helper()
	c.crl = []string{active.crl}
	template, err := r.template(c)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := x509.ParseOID("2.23.140.1.5.3.2")
	if err != nil {
		t.Fatal(err)
	}
	template.Policies = []x509.OID{policy}
	der, err := x509.CreateCertificate(rand.Reader, template, active.cert, c.key, active.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
