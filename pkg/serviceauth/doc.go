// Package serviceauth authenticates calls between services: each call carries a short-lived
// token in the header X-Service-Token, signed with a secret that the services share.
//
// A token is a JWT (RFC 7519) under HMAC-SHA256 with the claims
//
//	service  the caller's name
//	iss      the same
//	aud      the name of the service called, so that no service can pass a token on
//	iat, exp at most one hour apart
//
// The [Signer] of a caller makes it, the [Verifier] of the service called accepts exactly
// that and nothing else (RFC 8725 is the list of what others accepted to their regret).
//
// # Changing the secret without downtime
//
// SERVICE_SECRETS=k2:…,k1:… holds several keys: the first signs, all verify. Bring a new
// key in at the end of the list everywhere, then move it to the front everywhere, then,
// an hour later, drop the old one. Each step may roll out service by service.
package serviceauth
