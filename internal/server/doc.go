// Package server is the HTTP front: routes, middleware, limits. Echo lives
// only here. Its sub-rooms are split by audience, that is by authentication:
// deviceapi, adminapi, accessapi, console. Unstable.
package server
