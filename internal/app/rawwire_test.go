package app_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRawTroubleUnenrolsNoPhone: what net/http answers by itself, before any
// handler of ours, is none of the two statuses either.
func TestRawTroubleUnenrolsNoPhone(t *testing.T) {
	t.Parallel()
	s := serve(t, testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"))
	at, err := url.Parse(s.app.PublicURL())
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	got := answers{}
	for name, text := range map[string]string{
		"length that is no number":   "PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
		"two lengths":                "PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"negative length":            "PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"length and chunks":          "PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk that is none":         "PUT /mdm HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"unknown transfer encoding":  "PUT /mdm HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
		"unknown expectation":        "PUT /mdm HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n",
		"no host":                    "PUT /mdm HTTP/1.1\r\n\r\n",
		"two hosts":                  "PUT /mdm HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"host that is none":          "PUT /mdm HTTP/1.1\r\nHost: x y\r\n\r\n",
		"header without a colon":     "PUT /mdm HTTP/1.1\r\nHost: x\r\nMdm-Signature\r\n\r\n",
		"header beyond its limit":    "PUT /mdm HTTP/1.1\r\nHost: x\r\nMdm-Signature: " + strings.Repeat("A", 32<<10) + "\r\n\r\n",
		"control character":          "PUT /mdm HTTP/1.1\r\nHost: x\r\nMdm-Signature: a\x00b\r\n\r\n",
		"unknown version":            "PUT /mdm HTTP/9.9\r\nHost: x\r\n\r\n",
		"old version":                "PUT /mdm HTTP/1.0\r\n\r\n",
		"absolute address":           "PUT https://other.example.test/mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"path that leads nowhere":    "PUT /mdm/../mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"path with a broken escape":  "PUT /mdm%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"no path":                    "PUT * HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"method that is none":        "P\x01T /mdm HTTP/1.1\r\nHost: x\r\n\r\n",
		"not HTTP":                   "hello\r\n\r\n",
		"prior knowledge of HTTP/2":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"authorization of its own":   "PUT /mdm HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\nContent-Length: 0\r\n\r\n",
		"upgrade":                    "PUT /mdm HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
		"a proxy's words":            "CONNECT mdm:443 HTTP/1.1\r\nHost: mdm:443\r\n\r\n",
		"a body that ends too early": "PUT /mdm HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nxx",
	} {
		c, err := tls.Dial("tcp", at.Host, &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}})
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = c.Write([]byte(text))
		must(t, err)
		must(t, c.CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if _, hungUp := err.(net.Error); hungUp {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil { // a connection that is cut un-enrols nobody
			got.only(t, name, resp.StatusCode, 400, 404, 405, 417, 431, 501, 503, 505)
			must(t, resp.Body.Close())
		}
		_ = c.Close()
	}
	t.Logf("raw connections: %v", got)
}
