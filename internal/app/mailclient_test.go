package app_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// mailClient is the Exchange ActiveSync client of a phone, as far as a gate and a
// mail server can tell: FolderSync and Sync of one folder, in WBXML (MS-ASWBXML)
// written by hand.
type mailClient struct {
	t        testing.TB
	url      string // of ActiveSync
	http     *http.Client
	login    string // Authorization; empty: none
	password string
	user     string // of the query
	device   string
	encoded  bool // the base64 form of the query
	header   http.Header
	app      mailApp // the zero value: Apple's
	once     bool    // a 503 is the answer, and not a reason to ask again
}

// mailApp is how the program calls itself.
type mailApp struct{ deviceType, userAgent string }

// Gmail's Exchange client on Android names itself and its release so.
var (
	appleMail = mailApp{"iPhone", "Apple-iPhone15C4/2301.1"}
	gmail     = mailApp{"Android", "Android-Mail/2025.10.26.827419321.Release"}
)

func (m mailClient) program() mailApp {
	if m.app == (mailApp{}) {
		return appleMail
	}
	return m.app
}

// Codes of commands in the base64 form.
var mailCommands = map[string]byte{"Sync": 0, "FolderSync": 9, "Ping": 18}

func (m mailClient) query(cmd string) string {
	if !m.encoded {
		return url.Values{"Cmd": {cmd}, "User": {m.user}, "DeviceId": {m.device}, "DeviceType": {m.program().deviceType}}.Encode()
	}
	raw := []byte{141, mailCommands[cmd], 0x09, 0x04}
	for _, field := range []string{m.device, "", m.program().deviceType} {
		raw = append(append(raw, byte(len(field))), field...)
	}
	if m.user != "" {
		raw = append(append(raw, 8, byte(len(m.user))), m.user...)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// answer is what came back.
type mailAnswer struct {
	status int
	header http.Header
	body   []byte
}

func (m mailClient) post(cmd string, body []byte) mailAnswer {
	m.t.Helper()
	return m.send(http.MethodPost, m.url+"?"+m.query(cmd), body)
}

// send asks again while the gate is told nothing in time, as phones do: on a busy
// machine the database is late now and then, and nobody is let in for it.
func (m mailClient) send(method, target string, body []byte) mailAnswer {
	m.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if a := m.sendOnce(method, target, body); a.status != http.StatusServiceUnavailable || m.once || time.Now().After(deadline) {
			return a
		}
	}
}

func (m mailClient) sendOnce(method, target string, body []byte) mailAnswer {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	for name, values := range m.header {
		r.Header[name] = values
	}
	if m.login != "" {
		r.SetBasicAuth(m.login, m.password)
	}
	r.Header.Set("User-Agent", m.program().userAgent)
	if !m.encoded {
		r.Header.Set("MS-ASProtocolVersion", "14.1")
		r.Header.Set("X-MS-PolicyKey", "0")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/vnd.ms-sync.wbxml")
	}
	resp, err := m.http.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return mailAnswer{resp.StatusCode, resp.Header, answer}
}

// Tokens of the code pages that are used here, each on its page.
const (
	pageAirSync, pageEmail, pageFolders = 0, 2, 7

	airSync, airCollection, airSyncKey, airCollectionID, airWindowSize, airCollections = 0x05, 0x0f, 0x0b, 0x12, 0x15, 0x1c

	emailSubject = 0x14

	folderServerID, folderType, folderStatus, folderSyncKey, folderSync = 0x08, 0x0a, 0x0c, 0x12, 0x16
)

// subjects syncs the mailbox's inbox from the beginning and returns what is in it.
// ok is false where the server did not answer 200.
func (m mailClient) subjects() (list []string, status int) {
	m.t.Helper()
	a := m.post("FolderSync", wbxml(pageFolders, open(folderSync), text(folderSyncKey, "0"), end))
	if a.status != http.StatusOK {
		return nil, a.status
	}
	var inbox, id string
	for _, e := range elements(m.t, a.body) {
		switch {
		case e.page == pageFolders && e.tag == folderServerID:
			id = e.text
		case e.page == pageFolders && e.tag == folderType && e.text == "2": // MS-ASCMD 2.2.3.186.3: the inbox
			inbox = id
		}
	}
	if inbox == "" {
		m.t.Fatalf("no inbox in %x", a.body)
	}
	key := "0"
	for range 2 { // the first Sync brings a key and nothing else
		a = m.post("Sync", wbxml(pageAirSync, open(airSync), open(airCollections), open(airCollection), text(airSyncKey, key),
			text(airCollectionID, inbox), text(airWindowSize, "20"), end, end, end))
		if a.status != http.StatusOK {
			return nil, a.status
		}
		for _, e := range elements(m.t, a.body) {
			switch {
			case e.page == pageAirSync && e.tag == airSyncKey:
				key = e.text
			case e.page == pageEmail && e.tag == emailSubject:
				list = append(list, e.text)
			}
		}
	}
	return list, a.status
}

// WBXML: version 1.3, public identifier 1, UTF-8, no string table (MS-ASWBXML 2.1.2.1).
const end = "\x01"

func wbxml(page byte, parts ...string) []byte {
	out := []byte{3, 1, 0x6a, 0, 0, page}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func open(tag byte) string { return string([]byte{tag | 0x40}) }

func text(tag byte, s string) string { return open(tag) + "\x03" + s + "\x00" + end }

// element is a tag with its text, where it has any.
type element struct {
	page, tag byte
	text      string
}

func elements(t testing.TB, doc []byte) []element {
	t.Helper()
	list, err := readElements(doc)
	if err != nil {
		t.Fatalf("WBXML: %v in %x", err, doc)
	}
	return list
}

func readElements(doc []byte) ([]element, error) {
	if len(doc) < 4 || !bytes.HasPrefix(doc, []byte{3, 1, 0x6a, 0}) {
		return nil, fmt.Errorf("no header")
	}
	var list []element
	page := byte(0)
	for at := 4; at < len(doc); {
		token := doc[at]
		at++
		switch token {
		case 0x00: // SWITCH_PAGE
			page = doc[at]
			at++
		case 0x01: // END
		case 0x03: // STR_I
			n := bytes.IndexByte(doc[at:], 0)
			if n < 0 || len(list) == 0 {
				return nil, fmt.Errorf("string at %d", at)
			}
			list[len(list)-1].text = string(doc[at : at+n])
			at += n + 1
		case 0xc3: // OPAQUE
			size, n := 0, 0
			for ; at+n < len(doc); n++ {
				size = size<<7 | int(doc[at+n]&0x7f)
				if doc[at+n]&0x80 == 0 {
					break
				}
			}
			at += n + 1 + size
		default:
			list = append(list, element{page: page, tag: token &^ 0x40})
		}
	}
	return list, nil
}
