// Package userauth authenticates people: each request carries an access token in the header
// Authorization, which the service that knows the passwords has signed.
//
// An access token is a JWT by the profile of RFC 9068 ("typ": "at+jwt") under EdDSA (RFC
// 8037) with the claims
//
//	iss      the service that signed it
//	aud      "public-api"
//	sub      the user's id
//	iat, exp at most ten minutes apart
//
// Its kid is the thumbprint of the key (RFC 7638). The [Verifier] accepts exactly that. It
// finds keys in a [KeySet], the signer's own, or through a [Remote], which reads the set
// that the signer publishes (RFC 7517).
//
// A token cannot be revoked; it ends by itself. What a person may see and change is decided
// where the data is, by [Allows].
package userauth
