// Package env fills a configuration struct from environment variables and
// reports every problem it finds in one error, one line each.
//
// A struct names its variables in tags. The `env`, `envDefault` and `envPrefix`
// tags are those of github.com/caarlos0/env, the `validate` tags those of
// github.com/go-playground/validator; structs may be nested or embedded:
//
//	type Config struct {
//		Port  int        `env:"PORT" envDefault:"8081" validate:"min=1,max=65535"`
//		Token env.Secret `env:"TOKEN" validate:"required"`
//		Store store.Config
//	}
//
//	cfg, err := env.Load[Config](os.Environ())
//
// What a tag cannot say, a struct says in a method `Validate() error`, which
// returns [Invalid] values, several of them joined with [errors.Join].
//
// A field of type [Secret] reads FOO_FILE as well as FOO, the way orchestrators
// mount secrets, and no way of printing it shows its value.
package env
