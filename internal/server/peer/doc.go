// Package peer knows who is at the other end of a request: the caller's address
// and the client certificate that the caller has shown, also where a reverse
// proxy stands in between. Only proxies whose addresses the owner has named are
// believed; what anybody else claims in a header is taken away before a handler
// sees it. Unstable.
package peer
