// Package apns wakes Apple devices: the client side of Apple's push service for
// MDM, and the push certificate that it asks for. It knows nothing of
// enrolments; who is woken when is enroll.Waker's business.
//
// MDM has its own rules: the connection is authenticated by the MDM push
// certificate alone (tokens of the developer program do not do), the payload is
// {"mdm": PushMagic} and nothing else, and the topic is the UID in the
// certificate's subject
// (https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns,
// https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers).
//
// Device tokens and push magics are secrets: no error and no log line of this
// package holds one. Unstable.
package apns
