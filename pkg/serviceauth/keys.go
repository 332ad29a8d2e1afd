package serviceauth

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-troika/troika/pkg/env"
)

// DemoSecret is the secret of the demo. It is public, and refused where APP_ENV is
// neither development nor test.
const DemoSecret = "troika-demo-secret-do-not-use-in-production"

// minSecret is the size of the hash in bytes, which RFC 7518 section 3.2 asks for.
const minSecret = 32

var keyID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Config is what the environment says about service tokens. Exactly one of the two is
// to be set; [ParseKeys] checks it.
type Config struct {
	Secret  env.Secret `env:"SERVICE_SECRET"`  // one key
	Secrets env.Secret `env:"SERVICE_SECRETS"` // "kid:secret,…"; a secret here cannot contain a comma
}

// Keys are the secrets that services share. Make them with [ParseKeys]; the zero Keys
// sign and verify nothing. They do not print.
type Keys struct {
	list []key // the first signs
}

type key struct {
	id     string // "" for the only key of SERVICE_SECRET
	secret env.Secret
}

// ParseKeys reads the keys of cfg. All that is wrong with them comes back as joined
// [env.Invalid] values for SERVICE_SECRET or SERVICE_SECRETS. Secrets under 32 bytes and
// [DemoSecret] pass only where appEnv is "development" or "test".
func ParseKeys(cfg Config, appEnv string) (Keys, error) {
	one, several := cfg.Secret.Reveal(), cfg.Secrets.Reveal()
	var p parser
	switch {
	case (one == "") == (several == ""):
		return Keys{}, env.Invalid("SERVICE_SECRET", "set either this or SERVICE_SECRETS")
	case one != "":
		p.variable = "SERVICE_SECRET"
		p.list = []key{{secret: cfg.Secret}}
	default:
		p.variable = "SERVICE_SECRETS"
		p.split(several)
	}
	if appEnv != "development" && appEnv != "test" {
		p.checkStrength()
	}
	if len(p.wrong) > 0 {
		return Keys{}, p.err()
	}
	return Keys{list: p.list}, nil
}

// parser collects keys and what is wrong with them; it never names a secret.
type parser struct {
	variable string
	list     []key
	wrong    []string
}

func (p *parser) split(several string) {
	known := map[string]bool{}
	for i, entry := range strings.Split(several, ",") {
		id, secret, _ := strings.Cut(strings.TrimSpace(entry), ":")
		switch {
		case secret == "" || !keyID.MatchString(id):
			p.reject("entry %d is not kid:secret with a kid of letters, digits, _ and -", i+1)
			continue
		case known[id]:
			p.reject("kid %s occurs twice", id)
			continue
		}
		known[id] = true
		p.list = append(p.list, key{id: id, secret: env.NewSecret(secret)})
	}
}

func (p *parser) checkStrength() {
	for _, k := range p.list {
		name := cmp.Or(k.id, "the secret")
		switch secret := k.secret.Reveal(); {
		case secret == DemoSecret:
			p.reject("%s is the demo's, which everybody knows", name)
		case len(secret) < minSecret:
			p.reject("%s has fewer than %d bytes", name, minSecret)
		}
	}
}

func (p *parser) reject(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *parser) err() error {
	return env.Invalid(p.variable, "%s", strings.Join(p.wrong, "; "))
}
