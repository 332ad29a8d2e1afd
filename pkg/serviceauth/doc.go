// Package serviceauth authenticates calls between services: each call carries a short-lived
// token in the header X-Service-Token, which the caller signs.
//
// A token is a JWT (RFC 7519) with the claims
//
//	service  the caller's name
//	iss      the same
//	aud      the name of the service called, so that no service can pass a token on
//	iat, exp at most one hour apart
//	sub, act the user and the service, in calls on behalf of a user
//
// The [Signer] of a caller makes it, the [Verifier] of the service called accepts exactly
// that and nothing else (RFC 8725 is the list of what others accepted to their regret).
//
// # Keys
//
// In production each service signs with a private Ed25519 key (EdDSA, RFC 8037), and all have
// the public keys of all: SERVICE_KEY and SERVICE_PUBLIC_KEYS. A key is good for the tokens
// of one service, so a service cannot sign as another. A token's kid is the key's JWK
// thumbprint (RFC 7638).
//
// The demo signs by HMAC-SHA-256 with one secret that all services share, SERVICE_SECRET.
// A program that has it can sign as any service.
//
// # Changing keys without downtime
//
// SERVICE_KEY may hold several keys and SERVICE_SECRETS=k2:…,k1:… several secrets: the first
// signs, all verify.
//
//  1. Put the new key before the old one, and its public key into SERVICE_PUBLIC_KEYS, for
//     all services; restart them in any order. An instance that does not know the new key
//     yet refuses it, and the caller repeats the call under the old one ([Signer.Refused]).
//  2. An hour after the last restart, when no token of the old key is left, remove that key
//     and restart again in any order.
//
// SERVICE_SECRET=… is the same as SERVICE_SECRETS with one secret: going from one secret
// straight to two is step 1.
package serviceauth
