package deviceapi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/peer"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/mdm/apple"
)

const pkiOperation = "PKIOperation"

// SCEPGet answers GET /scep?operation=…&message=… (RFC 8894, section 4.1).
func (a *API) SCEPGet(w http.ResponseWriter, r *http.Request) error {
	if err := share(r, a.d.Messages); err != nil {
		return err
	}
	query := r.URL.Query()
	operation, message := query.Get("operation"), []byte(query.Get("message"))
	if operation == pkiOperation {
		var err error
		if message, err = unwrap(query.Get("message")); err != nil {
			return err
		}
	}
	return a.scep(w, r, operation, message)
}

// SCEPPost answers POST /scep?operation=PKIOperation (RFC 8894, section 4.3).
func (a *API) SCEPPost(w http.ResponseWriter, r *http.Request) error {
	if err := share(r, a.d.Messages); err != nil { // before anything is read
		return err
	}
	operation := r.URL.Query().Get("operation")
	if operation != pkiOperation {
		return fmt.Errorf("POST is for %s alone: %w", pkiOperation, problem.ErrMalformed)
	}
	message, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read SCEP message: %w", errors.Join(problem.ErrMalformed, err))
	}
	return a.scep(w, r, operation, message)
}

func (a *API) scep(w http.ResponseWriter, r *http.Request, operation string, message []byte) error {
	contentType, body, err := a.d.SCEP.Do(r.Context(), operation, message)
	if err != nil {
		return err
	}
	return wire.WriteBytes(w, http.StatusOK, contentType, body)
}

// unwrap decodes the message of a GET. Clients that forget to escape the plus
// sign turn it into a blank; line breaks come from encoders made for mail.
func unwrap(message string) ([]byte, error) {
	if len(message) > base64.StdEncoding.EncodedLen(bounded.MaxCMS) {
		return nil, problem.ErrTooLarge
	}
	message = strings.NewReplacer(" ", "+", "\r", "", "\n", "").Replace(message)
	der, err := base64.StdEncoding.DecodeString(message)
	if err != nil {
		return nil, fmt.Errorf("message is not base64: %w", problem.ErrMalformed)
	}
	return der, nil
}

// MDM answers PUT /mdm: check-in messages and polls alike.
func (a *API) MDM(w http.ResponseWriter, r *http.Request) error {
	signatures := r.Header.Values("Mdm-Signature")
	if len(signatures) > 1 {
		return fmt.Errorf("more than one Mdm-Signature: %w", problem.ErrMalformed)
	}
	body, err := bounded.Read(r.Body, bounded.MaxPlist)
	if err != nil {
		return fmt.Errorf("read MDM message: %w", errors.Join(problem.ErrMalformed, err))
	}
	certificate, err := peer.Certificate(r)
	if err != nil {
		return fmt.Errorf("%w: %w", problem.ErrMalformed, err)
	}
	answer, err := a.d.MDM.Handle(r.Context(), apple.Request{
		Body: body, Signature: r.Header.Get("Mdm-Signature"), Certificate: certificate, RemoteAddr: limit.Address(r),
	})
	if errors.Is(err, apple.ErrRetired) {
		return dismiss(w)
	}
	if err != nil {
		if certificate != nil && errors.Is(err, apple.ErrUnauthenticated) {
			// The phone may have a new identity since this connection began.
			w.Header().Set("Connection", "close")
		}
		return err
	}
	if len(answer) == 0 { // nothing to do: zero bytes, and no type for them
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return wire.WriteBytes(w, http.StatusOK, "application/xml; charset=utf-8", answer)
}

// unrecognized is the answer after which a phone removes its management, with
// all mail that came with it
// (https://developer.apple.com/documentation/devicemanagement/errorcodeunrecognizeddevice).
const unrecognized = `{"code":"com.apple.unrecognized.device"}`

// dismiss sends the phone of an enrolment away that an admin has ended. It is
// the only 403 there is on /mdm, and does not pass through the place where
// errors become answers: no error can turn into it by mistake.
func dismiss(w http.ResponseWriter) error {
	return wire.WriteBytes(w, http.StatusForbidden, "application/json", []byte(unrecognized))
}
