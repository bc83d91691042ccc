package main

import (
	"cmp"
	"errors"
	"fmt"

	"sallyport/internal/cms"
	"sallyport/profiles/mobileconfig"
)

var errNoCertificate = errors.New("holds no certificate in PEM or DER form")

// keyFiles open an encrypted profile.
type keyFiles struct {
	Key  string `help:"Private key of the device that an encrypted profile was made for, PEM." placeholder:"FILE"`
	Cert string `help:"Its certificate, PEM (default: it stands in the file of --key too)." placeholder:"FILE"`
}

// inspect reads a .mobileconfig, takes the signature off, and with a key the
// encryption. It trusts nobody: what is inside is for looking at.
func (p *program) inspect(file string, keys keyFiles) (mobileconfig.Inspection, error) {
	data, err := p.readFile(file, mobileconfig.MaxProfile)
	if err != nil {
		return mobileconfig.Inspection{}, err
	}
	device, err := keys.device()
	if err != nil {
		return mobileconfig.Inspection{}, err
	}
	return inspected(file, data, device)
}

// device is the identity that the profile was encrypted to; nil when none is named.
func (k keyFiles) device() (*cms.Identity, error) {
	if k.Key == "" {
		if k.Cert != "" {
			return nil, usageError{"--cert belongs to --key"}
		}
		return nil, nil
	}
	device, err := identity(cmp.Or(k.Cert, k.Key), k.Key)
	if k.Cert == "" && errors.Is(err, errNoCertificate) {
		return nil, usageError{fmt.Sprintf("%s holds no certificate beside the key: give that of the device with --cert FILE", cell(k.Key))}
	}
	if err != nil {
		return nil, err
	}
	return &device, nil
}

func inspected(file string, data []byte, device *cms.Identity) (i mobileconfig.Inspection, err error) {
	if device == nil {
		i, err = mobileconfig.Inspect(data, nil, nil)
	} else {
		i, err = mobileconfig.Inspect(data, device.Certificate, device.Key)
	}
	switch {
	case errors.Is(err, cms.ErrDecrypt):
		return i, fmt.Errorf("%s does not open with that key: it was made for another device", cell(file))
	case err != nil:
		return i, fmt.Errorf("%s: %w", cell(file), err)
	}
	return i, nil
}
