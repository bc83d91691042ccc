package agent

import (
	"errors"
	"fmt"
)

var (
	// ErrNoPhone says that the directory holds no phone yet.
	ErrNoPhone = errors.New("no phone in this directory")
	// ErrNotEnrolled says that the phone is under nobody's management.
	ErrNotEnrolled = errors.New("phone is not enrolled")
	// ErrAlreadyEnrolled says that the phone is managed already; like an iPhone
	// it takes one management at a time.
	ErrAlreadyEnrolled = errors.New("phone is enrolled already")
	// ErrUnreachable says that a server gave no usable answer within the retries.
	ErrUnreachable = errors.New("server not reachable")
	// ErrTooMany says that a server wants to be left alone for longer than the
	// phone would wait; the error says how long.
	ErrTooMany = errors.New("too many tries")
	// ErrRefused says that a server understood and said no.
	ErrRefused = errors.New("refused by the server")
	// ErrUntrusted says that a certificate or signature does not lead to a root that the phone trusts.
	ErrUntrusted = errors.New("not trusted")
	// ErrProfile says that a profile is not one that a phone accepts.
	ErrProfile = errors.New("profile not acceptable")
	// ErrProtocol says that a server broke its protocol.
	ErrProtocol = errors.New("protocol error")
	// ErrPINNeeded says that the invitation asks for a PIN and none, or a wrong one, was given.
	ErrPINNeeded = errors.New("invitation asks for its PIN")
	// ErrDismissed says that the server told the phone to remove its management, which it has done.
	ErrDismissed = errors.New("server ended the management")
	// ErrBusy says that another process is using the phone.
	ErrBusy = errors.New("another process uses this phone")
	// ErrInvalid says that a caller asked for something that no phone has.
	ErrInvalid = errors.New("invalid request")
)

// Error domains and numbers of iOS, as Apple's "Mobile Device Management
// Protocol Reference" lists them. A server shows them and does not branch on them.
const (
	domainProfile      = "MCProfileErrorDomain"
	domainPayload      = "MCPayloadErrorDomain"
	domainInstallation = "MCInstallationErrorDomain"
	domainMDM          = "MCMDMErrorDomain"
	domainEAS          = "MCEASErrorDomain"
	domainSCEP         = "MCSCEPErrorDomain"
	domainCertificate  = "MCCertificateErrorDomain"
	domainPasscode     = "MCPasscodeErrorDomain"
	domainSettings     = "MCSettingsErrorDomain"
	domainChaperone    = "MCChaperoneErrorDomain"

	codeProfileMalformed     = 1000
	codeProfileVersion       = 1001
	codeProfileMissingField  = 1002
	codeProfileBadType       = 1003
	codeProfileBadSignature  = 1004
	codeProfileEmpty         = 1005
	codeProfileCannotDecrypt = 1006
	codeProfileSameUUID      = 1007
	codeProfileSameID        = 1008

	codePayloadMissingField = 2002
	codePayloadBadType      = 2003
	codePayloadBadValue     = 2004

	codeInstallationFailed = 4001

	codePasscodeCannotClear = 5013

	codeCertificateMalformed = 9005
	codeCertificatePassword  = 9000

	codeMDMBadRights      = 12000
	codeMDMTwice          = 12001
	codeMDMNotAuthorized  = 12007
	codeMDMMalformed      = 12008
	codeMDMMismatch       = 12012
	codeMDMNotManaged     = 12013
	codeMDMNoIdentity     = 12016
	codeMDMUnknownRequest = 12021
	codeMDMBadTopic       = 12022

	codeEASNoHost    = 21003
	codeEASDuplicate = 21005
	codeEASNoCert    = 21007
	codeEASNoService = 21009

	codeSCEPKeyUsage  = 22000
	codeSCEPCAReply   = 22002
	codeSCEPRAReply   = 22003
	codeSCEPNetwork   = 22005
	codeSCEPCaps      = 22006
	codeSCEPBadCert   = 22007
	codeSCEPOperation = 22013

	codeSettingsUnknown = 28000
	codeNotSupervised   = 29000
)

// refusal is one reason for which a phone declines, with the number that an
// iPhone would report. It matches kind with errors.Is.
type refusal struct {
	domain string
	code   int
	text   string
	kind   error // ErrProfile, ErrUntrusted, ...
	cause  error // detail for the log and for people; never sent to a server
}

func refuse(kind error, domain string, code int, format string, args ...any) *refusal {
	return &refusal{domain: domain, code: code, text: fmt.Sprintf(format, args...), kind: kind}
}

func (r *refusal) because(err error) *refusal {
	r.cause = err
	return r
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("%s (%s %d)", r.text, r.domain, r.code)
	if r.cause != nil {
		s += ": " + r.cause.Error()
	}
	return s
}

func (r *refusal) Unwrap() []error {
	if r.cause != nil {
		return []error{r.kind, r.cause}
	}
	return []error{r.kind}
}

// errorChain renders err as the ErrorChain of a command's result: the outer
// event first, the root cause last.
func errorChain(outer *refusal, err error) []any {
	var chain []any
	if outer != nil {
		chain = append(chain, outer.item())
	}
	var root *refusal
	if errors.As(err, &root) && root != outer {
		chain = append(chain, root.item())
	}
	return chain
}

func (r *refusal) item() map[string]any {
	return map[string]any{
		"ErrorCode":            r.code,
		"ErrorDomain":          r.domain,
		"LocalizedDescription": r.text,
		"USEnglishDescription": r.text,
	}
}
