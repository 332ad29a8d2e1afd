package serviceauth

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
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

// ParseKeys reads the keys of cfg. All that is wrong with them comes back as one
// [env.Invalid] value for SERVICE_SECRET or SERVICE_SECRETS. Secrets under 32 bytes and
// [DemoSecret] pass only where appEnv is "development" or "test".
func ParseKeys(cfg Config, appEnv string) (Keys, error) {
	one, several := cfg.Secret.Reveal(), cfg.Secrets.Reveal()
	if (one == "") == (several == "") {
		return Keys{}, env.Invalid("SERVICE_SECRET", "set either this or SERVICE_SECRETS")
	}
	variable, keys, problems := "SERVICE_SECRET", []key{{secret: cfg.Secret}}, []string(nil)
	if several != "" {
		variable = "SERVICE_SECRETS"
		keys, problems = splitKeys(several)
	}
	if appEnv != "development" && appEnv != "test" {
		problems = append(problems, weaknesses(keys)...)
	}
	if len(problems) > 0 {
		return Keys{}, env.Invalid(variable, "%s", strings.Join(problems, "; "))
	}
	return Keys{list: keys}, nil
}

// splitKeys reads "kid:secret,…". No problem names a secret.
func splitKeys(several string) (keys []key, problems []string) {
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

// weaknesses returns what makes keys unfit for production.
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
