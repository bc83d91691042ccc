package enroll

import (
	"context"

	"sallyport/mdm"
)

// AndroidWayIn leads a phone to this server's sign-in page, where its user tells the
// code of an invitation. It is the same for everybody, and no secret.
type AndroidWayIn struct {
	Ownership mdm.Ownership `json:"ownership"`
	// Link is opened in the phone's browser; only personal phones have one.
	Link string `json:"link,omitempty"`
	// Token is typed where Android Device Policy asks for one.
	Token string `json:"token"`
	// QR is the text of the QR code that a phone reads while it is set up.
	QR string `json:"qr"`
}

// WaysIn asks Google for those that it keeps for this server. ErrNoAndroid before a
// sign-up has ended.
func (a *Androids) WaysIn(ctx context.Context) ([]AndroidWayIn, error) {
	known, api, err := a.enterprise(ctx)
	if err != nil {
		return nil, err
	}
	e, err := api.Enterprise(ctx, known.Name)
	if err != nil {
		return nil, google("ask for sign-in pages", err)
	}
	list := []AndroidWayIn{}
	for _, s := range e.SignIn {
		switch {
		case s.Token == "": // Google has not made one yet
		case s.Personal:
			list = append(list, AndroidWayIn{mdm.Personal, s.Link(), s.Token, s.QR})
		default:
			list = append(list, AndroidWayIn{Ownership: mdm.Corporate, Token: s.Token, QR: s.QR})
		}
	}
	return list, nil
}
