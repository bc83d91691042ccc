#!/bin/sh
# The whole story on one machine: a server, a sample organisation, a software
# iPhone and a software Android phone, and stand-ins for Apple's push service and
# for Google's Android Management API. `make run` calls it; PORT and DATA say where.
# Needs nothing but the two programs in bin/.
set -eu

PORT=${PORT:-8443}
DATA=${DATA:-var}
HERE=$(dirname "$0")
BIN=${BIN:-bin}
ALICE=alice@example.test # has the iPhone
BOB=bob@example.test     # has the Android phone
IPHONE=$DATA/phone
ANDROID=$DATA/android
APNS=$DATA/apns
GOOGLE=$DATA/google
COMPANION=com.example.agent # an app that the stand-in for Google has
LOG=$DATA/serve.log
STARTED=

say() { printf '%s\n' "$*"; }
die() { printf 'make run: %s\n' "$*" >&2; exit 1; }
sallyport() { "$BIN/sallyport" "$@" --data "$DATA"; }
agent() { "$BIN/sallyport-agent" "$@"; }

# Only what was started here is ever stopped, the newest first: a server that ends
# still talks to the stand-ins.
stop() {
	status=$?
	trap - EXIT INT TERM
	for started in $STARTED; do
		if kill -0 "$started" 2>/dev/null; then
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
# The stand-ins rewrite files that a running server and its phones go by.
if running=$(sallyport doctor 2>/dev/null | sed -n 's/^[a-z]*  *server: \(.*\) runs .*/\1/p') && [ -n "$running" ]; then
	die "DATA=$DATA is in use by the server on $running: stop that one, or take another directory: make run PORT=9443 DATA=/tmp/sallyport"
fi
umask 077 # the log, too, is for its owner alone
mkdir -p "$DATA" || die "cannot make the directory DATA=$DATA"
# serve closes an empty directory by itself; with its log in it, it is not empty.
[ -n "$(ls -A "$DATA")" ] || chmod 700 "$DATA"
{ : >>"$LOG" && chmod 600 "$LOG"; } || die "cannot write $LOG"
before=$(wc -c <"$LOG")

# A stand-in takes free ports and leaves its addresses in files; the last is waited for.
standin() { # FILE WHOSE COMMAND…
	file=$1 whose=$2
	shift 2
	rm -f "$file"
	"$BIN/sallyport-agent" "$@" >>"$LOG" 2>&1 &
	STARTED="$! $STARTED"
	pid=$!
	tries=0
	until [ -s "$file" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 600 ] || ! kill -0 "$pid" 2>/dev/null; then
			tail -n 5 "$LOG" >&2
			die "the stand-in for $whose did not start, see $LOG"
		fi
		sleep 0.1
	done
}
standin "$APNS/side" "Apple's push service" apns --dir "$APNS" --listen localhost:0 --side localhost:0
standin "$GOOGLE/url" "Google's Android Management API" amapi --dir "$GOOGLE" --listen localhost:0 --keep
SIDE=$(cat "$APNS/side")
AMAPI=$(cat "$GOOGLE/url")

say "server: starting on https://localhost:$PORT, data in $DATA, log in $LOG"
# inquiry_max_age 0: the iPhone is asked for its facts at every contact, so that
# a change shows at once.
"$BIN/sallyport" serve --data "$DATA" --listen "localhost:$PORT" --inquiry-max-age 0s \
	--apns-url "$(cat "$APNS/url")" --apns-ca "$APNS/ca.pem" --amapi-url "$AMAPI" >>"$LOG" 2>&1 &
SERVER=$!
STARTED="$SERVER $STARTED"

tries=0
until sallyport doctor --wait 1s --pid "$SERVER" >/dev/null 2>&1; do
	if ! kill -0 "$SERVER" 2>/dev/null; then
		cause=$(tail -c "+$((before + 1))" "$LOG" | sed -n 's/^sallyport: //p' | tail -n 1) # of this start alone
		die "the server did not start: ${cause:-see $LOG}; with another port or data directory: make run PORT=9443 DATA=/tmp/sallyport"
	fi
	tries=$((tries + 1))
	[ "$tries" -lt 60 ] || { sallyport doctor >&2 || true; die "the server does not answer, see $LOG"; }
done
say "server: ready"

# What takes an organisation a form at Apple, here in three commands.
if ! sallyport push status -o json | grep -q '"ready": *true'; then
	rm -f "$APNS/request.pem"
	{ sallyport push csr --out "$APNS/request.pem" &&
		agent apns sign --dir "$APNS" --csr "$APNS/request.pem" --out "$APNS/push.pem"; } >>"$LOG" 2>&1 ||
		die "no push certificate from the stand-in, see $LOG"
	sallyport push import "$APNS/push.pem"
fi

# And what takes it a project at Google. The stand-in has a new address at each start:
# the key is given again, and tells it. What is secret goes by standard input, as the
# process list is open to others.
told=$(sallyport android signup --service-account "$GOOGLE/service-account.json" 2>>"$LOG") || die "no sign-up at the stand-in, see $LOG"
answered() { printf '%s\n' "$told" | sed -n "s/^$1  *//p"; }
if [ -n "$(answered page)" ]; then
	answered page | agent amapi admin --ca "$DATA/ca.pem" - >>"$LOG" || die "no enterprise at the stand-in, see $LOG"
	say "android: signed up, at a stand-in for Google"
fi
answered "push to" | agent amapi script --amapi "$AMAPI" --ca "$DATA/ca.pem" --push - || die "the stand-in does not push, see $LOG"

# Google brings no certificate to a phone: an app does, and the software phone is one.
if ! sallyport android companion show >/dev/null 2>&1; then
	sallyport android companion set "$COMPANION" >/dev/null
	say "android: $COMPANION fetches the certificates"
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
has user upn "$ALICE" || seed user import "$HERE/users.csv"
has template name mail || seed template apply -f "$HERE/template.yaml"
has security-policy name staff || seed security-policy apply -f "$HERE/security-policy.yaml"
has compliance name baseline || seed compliance apply -f "$HERE/compliance.yaml"
[ -z "$kept" ] || say "$kept"

# field prints one line of what is on a phone; nothing when there is no phone yet.
field() { # PHONE NAME
	agent show --dir "$1" 2>/dev/null | while read -r key value; do
		[ "$key" != "$2" ] || printf '%s\n' "$value"
	done
}

# phone enrols one, or lets the one that is there connect again. It leaves fresh=yes
# where it enrolled one.
phone() { # USER PHONE KIND OPTION…
	user=$1 dir=$2 kind=$3 fresh=
	shift 3
	if [ "$(field "$dir" state)" = enrolled ]; then
		say "phone: enrolled already, it connects again"
		agent connect --dir "$dir" "$@"
		return
	fi
	fresh=yes
	told=$(sallyport invite --user "$user" 2>&1) || die "no invitation: $told"
	url=$(printf '%s\n' "$told" | grep '^https://')
	say "invitation: $url"
	printf '%s\n' "$url" | agent enroll - --as "$kind" --dir "$dir" --ca "$DATA/ca.pem" "$@"
}
decide() { sallyport access decide --user "$1" --device-id "$2"; }
# explain meets nobody: a DeviceId that the phone drops again leaves no mail client behind.
allowed() { sallyport access explain "$1" "$2" | grep -q '^decision: allow'; }
decided() { if [ "$3" = yes ]; then ! allowed "$1" "$2"; else allowed "$1" "$2"; fi; } # USER DEVICE SHUT

# ending shows what the server made of a phone. A verdict follows its report within
# milliseconds, whether it opens the mailbox or shuts it; a machine under load gets longer.
ending() { # USER PHONE FIELD VALUE CURE: how it is after an earlier run shut its mailbox, and what opens it
	device=$(field "$2" eas_device_id)
	shut=no
	if [ "$(field "$2" "$3")" = "$4" ]; then
		shut=yes
	fi
	tries=0
	until decided "$1" "$device" "$shut" || [ "$tries" -ge 30 ]; do
		tries=$((tries + 1))
		sleep 1
	done
	sallyport device show "$device"
	answer=$(decide "$1" "$device")
	say "$answer"
	case $answer in
	*"decision: allow"*) return ;;
	esac
	say
	if [ "$shut" = yes ]; then
		say "The mailbox is shut because an earlier run left the phone so: $3 $4. Put it back in another terminal:"
		say "  $BIN/sallyport-agent set $5 --dir $2 && $BIN/sallyport-agent connect --dir $2"
	else
		say "The mailbox is shut for the reasons above. What the phone says of itself: $BIN/sallyport-agent show --dir $2"
	fi
}

say
say "iPhone of $ALICE"
phone "$ALICE" "$IPHONE" iphone
DEVICE=$(field "$IPHONE" eas_device_id)
# A phone of an older data directory cannot be woken: it goes on polling.
if told=$(sallyport push send "$DEVICE" 2>&1); then
	say "push: $told"
	agent wait --dir "$IPHONE" --apns "$SIDE" --for 60s || die "the push did not reach the phone, see $LOG"
else
	say "push: not sent: $told"
fi
ending "$ALICE" "$IPHONE" passcode off passcode=on

say
say "Android phone of $BOB"
phone "$BOB" "$ANDROID" android --amapi "$AMAPI"
# Google tells the phone of its own policy, with mail in it, as soon as there is one.
tries=0
until [ -z "$fresh" ] || allowed "$BOB" "$(field "$ANDROID" eas_device_id)" || [ "$tries" -ge 20 ]; do
	tries=$((tries + 1))
	agent wait --dir "$ANDROID" --for 3s 2>>"$LOG" || true
done
ending "$BOB" "$ANDROID" posture POTENTIALLY_COMPROMISED posture=SECURE
ANDROID_DEVICE=$(field "$ANDROID" eas_device_id)

say
say "Serving on https://localhost:$PORT until Ctrl-C. Open or type next, in another terminal:"
[ "$DATA" = var ] || say "  export SALLYPORT_DATA=$DATA"
cat <<END
  $BIN/sallyport-agent set passcode=off --dir $IPHONE && $BIN/sallyport-agent connect --dir $IPHONE
  $BIN/sallyport access decide --user $ALICE --device-id $DEVICE   # now: block, and why
  $BIN/sallyport-agent set posture=COMPROMISED_OS --dir $ANDROID && $BIN/sallyport-agent connect --dir $ANDROID
  $BIN/sallyport access decide --user $BOB --device-id $ANDROID_DEVICE   # now: block, and why
  $BIN/sallyport-agent wait --dir $IPHONE --apns $SIDE & sleep 1; $BIN/sallyport push send $DEVICE   # wake it
  $BIN/sallyport template preview mail --user $BOB --platform gmail   # what bob's phone got
  $BIN/sallyport invite --user carol@example.test --qr   # a page for another phone
  $BIN/sallyport doctor; $BIN/sallyport android doctor   # what real phones still need
  $BIN/sallyport audit list
END
wait "$SERVER" || die "the server stopped by itself, see $LOG"
