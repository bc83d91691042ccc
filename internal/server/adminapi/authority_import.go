package adminapi

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"sallyport/certs"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// IssuingImport is an issuing certificate on its way in: its chain in PEM, with
// its key unless that is the one of our own request; or both as PKCS#12.
type IssuingImport struct {
	Chain      string `json:"chain,omitempty"`      // the issuing certificate, what is above it, and its root
	Key        string `json:"key,omitempty"`        // PEM: PKCS#8, or the older forms of RSA and EC keys, in the clear
	PKCS12     []byte `json:"pkcs12,omitempty"`     // base64
	Passphrase string `json:"passphrase,omitempty"` // of the PKCS#12 file
	DryRun     bool   `json:"dry_run,omitempty"`
}

const (
	maxImported = 10       // certificates in a chain
	maxPEM      = 64 << 10 // bytes of either text
)

// parse reads what is imported. Whether it can be used is for the authority to say.
func (in IssuingImport) parse() (certs.Import, error) {
	out := certs.Import{DryRun: in.DryRun}
	if len(in.PKCS12) > 0 {
		if in.Chain != "" || in.Key != "" {
			return out, refuseImport("pkcs12", "is given beside chain or key", "give either the one or the others")
		}
		p12, refused := certs.OpenPKCS12(in.PKCS12, secret.New(in.Passphrase), certs.PKCS12Fields{Err: certs.ErrAuthorityInvalid, File: "pkcs12", Password: "passphrase"})
		if refused != nil {
			return out, refused
		}
		out.Key, out.Chain = p12.Key, append([]*x509.Certificate{p12.Certificate}, p12.Chain...)
		return out, nil
	}
	var err error
	if out.Chain, err = parseChain(in.Chain); err != nil {
		return out, err
	}
	if in.Key != "" {
		out.Key, err = parseKey(in.Key)
	}
	return out, err
}

func refuseImport(field, reason, remedy string) error {
	return refusal.New(certs.ErrAuthorityInvalid, field, reason, remedy)
}

func parseChain(text string) ([]*x509.Certificate, error) {
	const remedy = "give the issuing certificate first, then the one that issued it, and so on up to and with the root, all in PEM"
	if len(text) > maxPEM {
		return nil, refuseImport("chain", fmt.Sprintf("is longer than %d KB", maxPEM>>10), remedy)
	}
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		block, after := pem.Decode(rest)
		switch {
		case block == nil && len(chain) == 0:
			return nil, refuseImport("chain", "holds no certificate", remedy)
		case block == nil && len(bytes.TrimSpace(after)) > 0:
			return nil, refuseImport("chain", "holds something that is no PEM", remedy)
		case block == nil:
			return chain, nil
		case block.Type != "CERTIFICATE":
			return nil, refuseImport("chain", fmt.Sprintf("holds a %.40q", block.Type), instead(block.Type))
		case len(chain) == maxImported:
			return nil, refuseImport("chain", fmt.Sprintf("holds more than %d certificates", maxImported), remedy)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refuseImport("chain", fmt.Sprintf("certificate %d in it cannot be read", len(chain)+1), "export it anew")
		}
		chain, rest = append(chain, cert), after
	}
}

// instead says what to do with what is no certificate.
func instead(blockType string) string {
	switch {
	case blockType == "PKCS7" || blockType == "CMS":
		return "take the certificates out of it, the issuing one first: openssl pkcs7 -print_certs -in FILE"
	case strings.HasSuffix(blockType, "CERTIFICATE REQUEST"):
		return "that is the request: have it signed (sallyport ca sign, or your own CA), and give the certificate"
	case strings.HasSuffix(blockType, "PRIVATE KEY"):
		return "give it apart from the chain, as key (on the command line: --key FILE)"
	}
	return "certificates alone belong there"
}

func parseKey(text string) (crypto.Signer, error) {
	const remedy = "give one private key in PEM, in the clear: openssl pkey -in FILE; or a PKCS#12 file with its passphrase"
	if len(text) > maxPEM {
		return nil, refuseImport("key", fmt.Sprintf("is longer than %d KB", maxPEM>>10), remedy)
	}
	for rest := []byte(text); ; {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil, refuseImport("key", "holds no private key", remedy)
		}
		if block.Type == "EC PARAMETERS" { // openssl ecparam puts it first
			rest = after
			continue
		}
		key, err := cms.PrivateKey(block)
		if err != nil {
			return nil, refuseImport("key", err.Error(), remedy)
		}
		return key, nil
	}
}
