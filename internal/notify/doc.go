// Package notify sends mail to people: plain text over SMTP, with nothing in a
// header that came from outside unchecked. It keeps nothing and retries nothing;
// whoever queues mails does. Leaf. Unstable.
package notify
