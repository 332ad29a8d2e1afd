package serviceauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/serviceauth"
)

// forgeries returns every token that must be refused, by what is wrong with it.
func (s scheme) forgeries(t *testing.T) map[string]http.Header {
	t.Helper()
	good := s.sign(t, nil, nil)
	tokens := map[string]string{
		"stripped signature":     good[:strings.LastIndex(good, ".")+1],
		"no signature part":      good[:strings.LastIndex(good, ".")],
		"altered last character": alterLast(good),
		"trailing newline":       good + "\n",
		"newline inside":         strings.Replace(good, ".", ".\n", 1),
		"leading space":          " " + good,
		"padding":                good + "=",
		"fourth part":            good + ".x",
		"1 MiB":                  strings.Repeat("a", 1<<20),
		"1 MiB of dots":          strings.Repeat(".", 1<<20),
		"above 4 KiB":            s.sign(t, nil, jwt.MapClaims{"pad": strings.Repeat("x", 4<<10)}),
		"another secret":         signWith(t, jwt.SigningMethodHS256, []byte(strings.Repeat("z", 32)), nil, nil),
		"empty secret":           signWith(t, jwt.SigningMethodHS256, []byte{}, nil, nil),
		"null payload":           s.raw(t, s.header(), `null`),
		"list payload":           s.raw(t, s.header(), `[]`),
		"not JSON":               s.raw(t, s.header(), `service`),
		"duplicate claim":        s.raw(t, s.header(), duplicateClaim()),
		"wrong-case claim":       s.raw(t, s.header(), strings.Replace(payload(), `"exp"`, `"EXP"`, 1)),
		"lower-case alg":         s.raw(t, strings.ToLower(s.header()), payload()),
	}
	maps.Copy(tokens, s.otherAlgorithms(t))
	maps.Copy(tokens, s.badHeaders(t))
	maps.Copy(tokens, s.badClaims(t))

	headers := map[string]http.Header{
		"two headers":            {serviceauth.Header: {good, good}},
		"two headers, one empty": {serviceauth.Header: {good, ""}},
	}
	for name, token := range tokens {
		headers[name] = header(token)
	}
	return headers
}

func (s scheme) otherAlgorithms(t *testing.T) map[string]string {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]string{
		"HS256, wrong key":        signWith(t, jwt.SigningMethodHS256, []byte(strings.Repeat("z", 32)), s.head, nil),
		"none":                    signWith(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"nOnE":                    unsigned(`{"alg":"nOnE"}`),
		"no alg":                  unsigned(`{"typ":"JWT"}`),
		"HS256 named, none meant": unsigned(`{"alg":"HS256"}`),
		"RS256":                   signWith(t, jwt.SigningMethodRS256, rsaKey, nil, nil),
		"EdDSA, wrong key":        signWith(t, jwt.SigningMethodEdDSA, edKey, s.head, nil),
		"HS384, right secret":     signWith(t, jwt.SigningMethodHS384, []byte(secret), nil, nil),
		"HS512, right secret":     signWith(t, jwt.SigningMethodHS512, []byte(secret), nil, nil),
	}
	if public, ok := s.public(); ok {
		others["no kid"] = signWith(t, s.method, s.key, nil, nil)
		others["HS256, right secret"] = signWith(t, jwt.SigningMethodHS256, []byte(secret), nil, nil)
		others["HS256, public key as secret"] = signWith(t, jwt.SigningMethodHS256, []byte(public), s.head, nil)
		others["of another service"] = s.sign(t, nil, jwt.MapClaims{"service": "gateway", "iss": "gateway"})
		others["kid of another service"] = s.sign(t, map[string]any{"kid": s.gateway}, nil)
		others["all by another service"] = s.sign(t, map[string]any{"kid": s.gateway}, jwt.MapClaims{"service": "gateway", "iss": "gateway"})
		others["signature of zeros"] = unsigned(s.header()) + encode(strings.Repeat("\x00", ed25519.SignatureSize))
	}
	return others
}

func (s scheme) badHeaders(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"unknown crit":    s.sign(t, map[string]any{"crit": []string{"b64"}, "b64": false}, nil),
		"empty crit":      s.sign(t, map[string]any{"crit": []string{}}, nil),
		"kid as a path":   s.sign(t, map[string]any{"kid": "../../../../dev/null"}, nil),
		"kid as a number": s.sign(t, map[string]any{"kid": 1}, nil),
		"empty kid":       s.sign(t, map[string]any{"kid": ""}, nil),
		"unknown kid":     s.sign(t, map[string]any{"kid": "k9"}, nil),
	}
}

func (s scheme) badClaims(t *testing.T) map[string]string {
	t.Helper()
	tokens, now := map[string]string{}, seconds(0)
	for name, change := range map[string]jwt.MapClaims{
		"no exp":               {"exp": nil},
		"expired":              {"iat": seconds(-2 * time.Hour), "exp": seconds(-time.Hour)},
		"exp as a string":      {"exp": "4102444800"},
		"exp before iat":       {"exp": seconds(-time.Second), "iat": seconds(0)},
		"no iat":               {"iat": nil},
		"future iat":           {"iat": seconds(5 * time.Minute), "exp": seconds(10 * time.Minute)},
		"negative iat":         {"iat": int64(-1 << 62), "exp": int64(1 << 62)},
		"overflowing life":     {"iat": int64(-1 << 63), "exp": int64(1<<63 - 1)},
		"iat as a string":      {"iat": "1"},
		"future nbf":           {"nbf": seconds(5 * time.Minute)},
		"nbf as a string":      {"nbf": "1"},
		"ten-year life":        {"exp": seconds(10 * 365 * 24 * time.Hour)},
		"an hour and a second": {"iat": now, "exp": now + 3601},
		"no aud":               {"aud": nil},
		"wrong aud":            {"aud": "billing-service"},
		"aud in other case":    {"aud": "User-Service"},
		"aud of two":           {"aud": []string{callee, "billing-service"}},
		"aud of none":          {"aud": []string{}},
		"no iss":               {"iss": nil},
		"wrong iss":            {"iss": "gateway"},
		"no service":           {"service": nil},
		"empty service":        {"service": "", "iss": ""},
		"service with space":   {"service": "order service", "iss": "order service"},
		"service as a list":    {"service": []string{caller}},
	} {
		tokens[name] = s.sign(t, nil, change)
	}
	return tokens
}

// signWith signs a good token after changing it; a nil value takes the claim out.
func signWith(t *testing.T, method jwt.SigningMethod, key any, head map[string]any, change jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{
		"service": caller, "iss": caller, "aud": callee,
		"iat": seconds(0), "exp": seconds(30 * time.Minute),
	}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, head)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func unsigned(head string) string { return encode(head) + "." + encode(payload()) + "." }

func payload() string {
	return strings.NewReplacer("IAT", timestamp(0), "EXP", timestamp(time.Minute)).
		Replace(`{"service":"order-service","iss":"order-service","aud":"user-service","iat":IAT,"exp":EXP}`)
}

func duplicateClaim() string {
	return strings.Replace(payload(), `"iss"`, `"service":"gateway","iss"`, 1)
}

func timestamp(fromNow time.Duration) string { return strconv.FormatInt(seconds(fromNow), 10) }

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// alterLast changes the last character in the bits that base64 does not use, which a
// lenient decoder does not notice.
func alterLast(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}
