package enroll

import (
	"crypto/hmac"
	"crypto/rand"
	"strings"
)

// codeAlphabet are the 32 symbols of an invitation code: digits and capitals
// without 0 and O, 1 and I, which people mistake for each other. 32 divides
// 256, so that the low five bits of a random byte are a symbol without bias.
const codeAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"

const (
	codeLength = 8 // 40 bits; guessing is bounded by the server's rate limits and by expiry
	pinLength  = 6
)

// Purposes keep the HMACs of one kind from being taken for those of another.
const (
	purposeCode  = "invitation-code"
	purposePIN   = "invitation-pin"
	purposeAct   = "command of an act"
	purposeEAS   = "android-eas"
	purposeAgent = "android-agent"
	purposeKnox  = "android-knox"
)

// MACPurposes are all that Service.MAC is called with. Values of each are on
// record: a purpose never changes its name.
func MACPurposes() []string {
	return []string{purposeCode, purposePIN, purposeAct, purposeEAS, purposeAgent, purposeKnox}
}

// newCode makes an invitation code. crypto/rand never fails: it stops the
// program instead.
func newCode() string {
	raw := make([]byte, codeLength)
	_, _ = rand.Read(raw)
	for i, b := range raw {
		raw[i] = codeAlphabet[b&31]
	}
	return string(raw)
}

// newPIN makes a PIN of decimal digits. Bytes from 250 on are thrown away:
// they would make the small digits more likely.
func newPIN() string {
	pin := make([]byte, 0, pinLength)
	var one [1]byte
	for len(pin) < pinLength {
		_, _ = rand.Read(one[:])
		if one[0] < 250 {
			pin = append(pin, '0'+one[0]%10)
		}
	}
	return string(pin)
}

// normalCode reads a code as a person may have typed it: in lower case, with
// blanks around it. Anything that newCode could not have made is no code; only
// ASCII is folded, since other letters fold to symbols of the alphabet too.
func normalCode(typed string) (string, bool) {
	code := []byte(strings.TrimSpace(typed))
	if len(code) != codeLength {
		return "", false
	}
	for i, symbol := range code {
		if 'a' <= symbol && symbol <= 'z' {
			code[i] = symbol - 'a' + 'A'
		}
		if strings.IndexByte(codeAlphabet, code[i]) < 0 {
			return "", false
		}
	}
	return string(code), true
}

// codeHash is what is kept of a code.
func (s *Service) codeHash(code string) []byte { return s.MAC(purposeCode, []byte(code)) }

// pinHash is what is kept of a PIN. It is bound to its invitation, so that
// equal PINs do not show as equal rows.
func (s *Service) pinHash(id InvitationID, pin string) []byte {
	return s.MAC(purposePIN, []byte(string(id)+"\x00"+pin))
}

// pinMatches compares in constant time; an invitation without a PIN takes none
// and any.
func (s *Service) pinMatches(i Invitation, pin string) bool {
	return len(i.PINHash) == 0 || hmac.Equal(i.PINHash, s.pinHash(i.ID, strings.TrimSpace(pin)))
}
