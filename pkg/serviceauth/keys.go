package serviceauth

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-troika/troika/pkg/env"
)

// DemoSecret is the secret of the demo. It is public, and refused where APP_ENV is
// neither development nor test.
const DemoSecret = "troika-demo-secret-do-not-use-in-production"

// minSecret is the size of the hash in bytes, which RFC 7518 section 3.2 asks for.
const minSecret = 32

var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Config is what the environment says about service tokens: either Key and PublicKeys, or
// one of the two forms of a shared secret. [ParseKeys] checks it.
type Config struct {
	Key        env.Secret `env:"SERVICE_KEY"`         // private keys of this service, of which the first signs
	PublicKeys env.Secret `env:"SERVICE_PUBLIC_KEYS"` // "service:key" for all services, by lines or commas
	Secret     env.Secret `env:"SERVICE_SECRET"`      // one secret
	Secrets    env.Secret `env:"SERVICE_SECRETS"`     // "kid:secret,…"; a secret here cannot contain a comma
}

// Keys are what a service signs and verifies tokens with. Make them with [ParseKeys]; the
// zero Keys sign and verify nothing. They do not print.
type Keys struct {
	method jwt.SigningMethod
	sign   []key // the first signs, unless the callee does not know it yet
	verify []key
}

// key is a shared secret or an Ed25519 key.
type key struct {
	id     string            // "" for the only key of SERVICE_SECRET
	owner  string            // the only service whose tokens it signs, "" for all
	secret env.Secret        // the shared secret, or the seed of a private key
	public ed25519.PublicKey // nil for a shared secret
}

// Shared reports whether all services share the secret, so that each can sign as any other.
func (k Keys) Shared() bool { return k.method == jwt.SigningMethodHS256 }

// Format implements [fmt.Formatter] for all verbs and flags.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// ParseKeys reads the keys of the named service from cfg. All that is wrong with them
// comes back as one [env.Invalid] value for the variable concerned; it quotes no secret. Secrets
// under 32 bytes and [DemoSecret] pass only where appEnv is "development" or "test".
func ParseKeys(cfg Config, service, appEnv string) (Keys, error) {
	pair := cfg.Key.Reveal() != "" || cfg.PublicKeys.Reveal() != ""
	one, several := cfg.Secret.Reveal() != "", cfg.Secrets.Reveal() != ""
	switch {
	case pair && (one || several):
		return Keys{}, env.Invalid("SERVICE_KEY", "is set together with a shared secret; set only one of them")
	case pair:
		return parsePairs(cfg, service)
	case one == several:
		return Keys{}, env.Invalid("SERVICE_SECRET",
			"set either this, or SERVICE_SECRETS, or SERVICE_KEY and SERVICE_PUBLIC_KEYS")
	}
	variable, keys, problems := "SERVICE_SECRET", []key{{secret: cfg.Secret}}, []string(nil)
	if several {
		variable = "SERVICE_SECRETS"
		keys, problems = splitSecrets(cfg.Secrets.Reveal())
	}
	if appEnv != "development" && appEnv != "test" {
		problems = append(problems, weaknesses(keys)...)
	}
	if len(problems) > 0 {
		return Keys{}, env.Invalid(variable, "%s", strings.Join(problems, "; "))
	}
	return Keys{method: jwt.SigningMethodHS256, sign: keys, verify: keys}, nil
}

// splitSecrets reads "kid:secret,…".
func splitSecrets(several string) (keys []key, problems []string) {
	for i, entry := range strings.Split(several, ",") {
		id, secret, _ := strings.Cut(strings.TrimSpace(entry), ":")
		switch {
		case secret == "" || !keyID.MatchString(id):
			problems = append(problems, fmt.Sprintf("entry %d is not kid:secret with a kid of letters, digits, _ and -", i+1))
		case slices.ContainsFunc(keys, func(k key) bool { return k.id == id }):
			problems = append(problems, fmt.Sprintf("kid %s occurs twice", id))
		default:
			keys = append(keys, key{id: id, secret: env.NewSecret(secret)})
		}
	}
	return keys, problems
}

// weaknesses returns what makes secrets unfit for production.
func weaknesses(keys []key) (problems []string) {
	for _, k := range keys {
		name := cmp.Or(k.id, "the secret")
		switch secret := k.secret.Reveal(); {
		case secret == DemoSecret:
			problems = append(problems, name+" is the demo's, which is public")
		case len(secret) < minSecret:
			problems = append(problems, fmt.Sprintf("%s has fewer than %d bytes", name, minSecret))
		}
	}
	return problems
}
