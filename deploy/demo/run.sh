#!/bin/sh
# The whole story on one machine: a server, a sample organisation, a software
# iPhone, and a stand-in for Apple's push service. `make run` calls it; PORT and
# DATA say where. Needs nothing but the two programs in bin/.
set -eu

PORT=${PORT:-8443}
DATA=${DATA:-var}
HERE=$(dirname "$0")
BIN=${BIN:-bin}
USER_UPN=alice@example.test
PHONE=$DATA/phone
APNS=$DATA/apns
LOG=$DATA/serve.log
SERVER= STANDIN=

say() { printf '%s\n' "$*"; }
die() { printf 'make run: %s\n' "$*" >&2; exit 1; }
sallyport() { "$BIN/sallyport" "$@" --data "$DATA"; }

# Only what was started here is ever stopped.
stop() {
	status=$?
	trap - EXIT INT TERM
	for started in "$SERVER" "$STANDIN"; do
		if [ -n "$started" ] && kill -0 "$started" 2>/dev/null; then
			kill "$started" 2>/dev/null || true
			wait "$started" 2>/dev/null || true
		fi
	done
	exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

case $PORT in
'' | *[!0-9]*) die "PORT=$PORT is not a number" ;;
esac
umask 077 # the log, too, is for its owner alone
mkdir -p "$DATA" || die "cannot make the directory DATA=$DATA"
# serve closes an empty directory by itself; with its log in it, it is not empty.
[ -n "$(ls -A "$DATA")" ] || chmod 700 "$DATA"
{ : >>"$LOG" && chmod 600 "$LOG"; } || die "cannot write $LOG"
before=$(wc -c <"$LOG")

# The stand-in takes free ports and leaves its addresses in files.
rm -f "$APNS/url" "$APNS/side"
"$BIN/sallyport-agent" apns --dir "$APNS" --listen localhost:0 --side localhost:0 >>"$LOG" 2>&1 &
STANDIN=$!
tries=0
until [ -s "$APNS/side" ]; do
	tries=$((tries + 1))
	if [ "$tries" -gt 100 ] || ! kill -0 "$STANDIN" 2>/dev/null; then
		tail -n 5 "$LOG" >&2
		die "the stand-in for Apple's push service did not start, see $LOG"
	fi
	sleep 0.1
done
SIDE=$(cat "$APNS/side")

say "server: starting on https://localhost:$PORT, data in $DATA, log in $LOG"
# inquiry_max_age 0: the phone is asked for its facts at every contact, so that
# a change shows at once.
"$BIN/sallyport" serve --data "$DATA" --listen "localhost:$PORT" --inquiry-max-age 0s \
	--apns-url "$(cat "$APNS/url")" --apns-ca "$APNS/ca.pem" >>"$LOG" 2>&1 &
SERVER=$!

tries=0
until sallyport doctor --wait 1s --pid "$SERVER" >/dev/null 2>&1; do
	if ! kill -0 "$SERVER" 2>/dev/null; then
		tail -c "+$((before + 1))" "$LOG" | tail -n 5 >&2 # of this start alone
		die "the server did not start; with another port or data directory: make run PORT=9443 DATA=/tmp/sallyport"
	fi
	tries=$((tries + 1))
	[ "$tries" -lt 30 ] || { sallyport doctor >&2 || true; die "the server does not answer, see $LOG"; }
done
say "server: ready"

# What takes an organisation a form at Apple, here in three commands.
if ! sallyport push status -o json | grep -q '"ready": *true'; then
	rm -f "$APNS/request.pem"
	{ sallyport push csr --out "$APNS/request.pem" &&
		"$BIN/sallyport-agent" apns sign --dir "$APNS" --csr "$APNS/request.pem" --out "$APNS/push.pem"; } >>"$LOG" 2>&1 ||
		die "no push certificate from the stand-in, see $LOG"
	sallyport push import "$APNS/push.pem"
fi

# Each piece is made where it is missing, also after a run that was cut short;
# kept data keep what was changed in them.
has() { sallyport "$1" list -o json | grep -q "\"$2\": *\"$3\""; }
kept="organisation: kept as it was"
seed() {
	[ -z "$kept" ] || say "organisation: three users; for everyone a mail template, a security policy, a compliance policy"
	kept=
	sallyport "$@"
}
has user upn "$USER_UPN" || seed user import "$HERE/users.csv"
has template name mail || seed template apply -f "$HERE/template.yaml"
has security-policy name staff || seed security-policy apply -f "$HERE/security-policy.yaml"
has compliance name baseline || seed compliance apply -f "$HERE/compliance.yaml"
[ -z "$kept" ] || say "$kept"

# field prints one line of what is on the phone; nothing when there is no phone yet.
field() {
	"$BIN/sallyport-agent" show --dir "$PHONE" 2>/dev/null | while read -r key value; do
		[ "$key" != "$1" ] || printf '%s\n' "$value"
	done
}

if [ "$(field state)" = enrolled ]; then
	say "phone: enrolled already, it connects again"
	"$BIN/sallyport-agent" connect --dir "$PHONE"
else
	told=$(sallyport invite --user "$USER_UPN" 2>&1) || die "no invitation: $told"
	URL=$(printf '%s\n' "$told" | grep '^https://')
	say "invitation: $URL"
	# By standard input: the process list is open to others.
	printf '%s\n' "$URL" | "$BIN/sallyport-agent" enroll - --as iphone --dir "$PHONE" --ca "$DATA/ca.pem"
fi

DEVICE=$(field eas_device_id)
# A phone of an older data directory cannot be woken: it goes on polling.
if told=$(sallyport push send "$DEVICE" 2>&1); then
	say "push: $told"
	"$BIN/sallyport-agent" wait --dir "$PHONE" --apns "$SIDE" --for 20s || die "the push did not reach the phone, see $LOG"
else
	say "push: not sent: $told"
fi
# A verdict follows its report within milliseconds; a machine under load gets some seconds.
decide() { sallyport access decide --user "$USER_UPN" --device-id "$DEVICE"; }
tries=0
until decide | grep -q '^decision: allow' || [ "$tries" -ge 5 ]; do
	tries=$((tries + 1))
	sleep 1
done
sallyport device show "$DEVICE"
answer=$(decide)
say "$answer"

change="passcode=off" shows="block, and why"
case $answer in
*"decision: allow"*) ;;
*)
	if [ "$(field passcode)" = off ]; then
		change="passcode=on" shows="allow"
		say
		say "The mailbox is shut because an earlier run left the phone without a passcode. Put it back in another terminal:"
		say "  $BIN/sallyport-agent set passcode=on --dir $PHONE && $BIN/sallyport-agent connect --dir $PHONE"
	else
		say
		say "The mailbox is shut for the reasons above. What the phone says of itself: $BIN/sallyport-agent show --dir $PHONE"
	fi
	;;
esac

cat <<END

Serving on https://localhost:$PORT until Ctrl-C. Open or type next, in another terminal:
  $BIN/sallyport-agent set $change --dir $PHONE && $BIN/sallyport-agent connect --dir $PHONE
  $BIN/sallyport-agent wait --dir $PHONE --apns $SIDE & sleep 1; $BIN/sallyport push send --data $DATA $DEVICE   # wake it
  $BIN/sallyport access decide --data $DATA --user $USER_UPN --device-id $DEVICE   # now: $shows
  $BIN/sallyport template preview --data $DATA mail --user bob@example.test --platform gmail   # what bob's phone would get
  $BIN/sallyport invite --data $DATA --user bob@example.test --qr                  # a page for another phone
  $BIN/sallyport doctor --data $DATA                                               # what real phones still need
  $BIN/sallyport audit list --data $DATA
END
wait "$SERVER" || die "the server stopped by itself, see $LOG"
