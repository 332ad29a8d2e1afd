package env_test

import (
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/env"
)

type store struct {
	Host string        `env:"HOST" envDefault:"localhost"`
	Port int           `env:"PORT" envDefault:"5432" validate:"min=1,max=65535"`
	Max  int           `env:"MAX" envDefault:"5"`
	Min  int           `env:"MIN" envDefault:"1"`
	Wait time.Duration `env:"WAIT" envDefault:"30s" validate:"min=1ms"`
}

func (s store) Validate() error {
	if s.Min > s.Max {
		return env.Invalid("DB_MIN", "is %d, more than DB_MAX (%d)", s.Min, s.Max)
	}
	return nil
}

type Embedded struct {
	Level slog.Level `env:"LEVEL" envDefault:"info"`
}

type config struct {
	Embedded
	Name     string     `env:"NAME" validate:"required"`
	Kind     string     `env:"KIND" envDefault:"static" validate:"oneof=static redis dns"`
	Ratio    float64    `env:"RATIO" envDefault:"1"`
	Debug    bool       `env:"DEBUG"`
	Hosts    []string   `env:"HOSTS"`
	Base     url.URL    `env:"BASE" envDefault:"http://localhost"`
	Password env.Secret `env:"PASSWORD" validate:"omitempty,min=8"`
	DB       store      `envPrefix:"DB_"`
}

func TestLoad(t *testing.T) {
	t.Parallel()
	got, err := env.Load[config]([]string{
		"NAME=first", "NAME=user", "KIND=", "DEBUG=true", "HOSTS=a,b", "LEVEL=warn", "DB_PORT=1",
		"DB_WAIT=2s", "PASSWORD=p=q=r=s=t", "=odd", "odd",
	}, "RATIO=0.5", "NAME=default", "DB_PORT=2")
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Embedded: Embedded{Level: slog.LevelWarn},
		Name:     "user", Kind: "static", Ratio: 0.5, Debug: true, Hosts: []string{"a", "b"},
		Base:     url.URL{Scheme: "http", Host: "localhost"},
		Password: env.NewSecret("p=q=r=s=t"),
		DB:       store{Host: "localhost", Port: 1, Max: 5, Min: 1, Wait: 2 * time.Second},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b env.Secret) bool { return a == b })); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
}

func TestLoadReportsEveryProblemOnItsOwnLine(t *testing.T) {
	t.Parallel()
	_, err := env.Load[config]([]string{
		"KIND=zookeeper", "DEBUG=perhaps", "DB_PORT=eighty", "DB_WAIT=soon", "PASSWORD=hunter2",
		"DB_MIN=9", "LEVEL=loud", "RATIO=half",
	})
	want := strings.Join([]string{
		`DB_MIN: is 9, more than DB_MAX (5)`,
		`DB_PORT: "eighty" is not a whole number that fits int`,
		`DB_WAIT: "soon" is not a duration such as 500ms or 30s`,
		`DEBUG: "perhaps" is not true or false`,
		`KIND: must be one of: static, redis, dns`,
		`LEVEL: slog: level string "loud": unknown name`,
		`NAME: is required`,
		`PASSWORD: must be at least 8 characters`,
		`RATIO: "half" is not a number`,
	}, "\n")
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	all, ok := errors.AsType[*env.Error](err)
	if !ok || len(all.Problems) != 9 {
		t.Errorf("%T with %v, want *env.Error with 9 problems", err, all)
	}
}

func TestLoadBlamesAVariableOnce(t *testing.T) {
	t.Parallel()
	// A port that is no number is also out of range; that is one problem, not two.
	_, err := env.Load[config]([]string{"NAME=x", "DB_PORT=eighty"})
	if text := errorText(err); strings.Count(text, "DB_PORT") != 1 {
		t.Errorf("error: %s", text)
	}
}

type required struct {
	Name  string     `env:"NAME,required"`
	Token env.Secret `env:"TOKEN,notEmpty"`
	Port  uint16     `env:"PORT"`
	List  []string   `env:"LIST" validate:"dive,url"`
}

func TestLoadCountsEmptyAsUnset(t *testing.T) {
	t.Parallel()
	_, err := env.Load[required]([]string{"NAME=", "TOKEN=", "PORT=70000", "LIST=http://a,b"})
	want := strings.Join([]string{
		`LIST: must be a URL with a scheme, such as http://localhost:8081`,
		`NAME: is required`,
		`PORT: "70000" is not a whole number that fits uint16`,
		`TOKEN: is required`,
	}, "\n")
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

type judged struct {
	Inner judgedInner
}

type judgedInner struct{}

func (judgedInner) Validate() error {
	return errors.Join(
		env.Invalid("B", "is wrong\nin two lines"),
		errors.Join(env.Invalid("A", "is wrong"), env.Invalid("A", "is wrong")),
		errors.New("nothing fits"),
	)
}

func (j judged) Validate() error { return j.Inner.Validate() }

func TestLoadFlattensAndSorts(t *testing.T) {
	t.Parallel()
	_, err := env.Load[judged](nil)
	if diff := cmp.Diff("nothing fits\nA: is wrong\nB: is wrong in two lines", errorText(err)); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestLoadWantsAStruct(t *testing.T) {
	t.Parallel()
	if _, err := env.Load[int](nil); err == nil {
		t.Error("loaded an int")
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "password")
	if err := os.WriteFile(path, []byte("from the file \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(environ ...string) (string, error) {
		cfg, err := env.Load[config](append(environ, "NAME=x"))
		return cfg.Password.Reveal(), err
	}

	if got, err := load("PASSWORD_FILE=" + path); err != nil || got != "from the file " {
		t.Errorf("file: %q, %v", got, err)
	}
	if _, err := load("PASSWORD_FILE="+path, "PASSWORD=long enough"); errorText(err) !=
		"PASSWORD_FILE: set together with PASSWORD; set only one of them" {
		t.Errorf("both: %v", err)
	}
	absent := filepath.Join(dir, "absent")
	if _, err := load("PASSWORD_FILE=" + absent); !strings.HasPrefix(errorText(err), "PASSWORD_FILE: open "+absent) {
		t.Errorf("absent: %v", err)
	}
}

type needsSecret struct {
	Token env.Secret `env:"TOKEN" validate:"required"`
}

func TestUnreadableSecretFileIsOneProblem(t *testing.T) {
	t.Parallel()
	_, err := env.Load[needsSecret]([]string{"TOKEN_FILE=" + t.TempDir()})
	if text := errorText(err); strings.Count(text, "TOKEN") != 1 || !strings.HasPrefix(text, "TOKEN_FILE: ") {
		t.Errorf("error: %s", text)
	}
}

// FuzzLoad asserts that no environment makes Load panic, that an error has one line
// per problem, and that none of them tells the secret.
func FuzzLoad(f *testing.F) {
	f.Add("DB_PORT", "eighty", "hunter2!")
	f.Add("LEVEL", "INFO+9999999999999999999", "x")
	f.Add("BASE", "http://[::1", "=\n=")
	f.Fuzz(func(t *testing.T, key, value, secret string) {
		_, err := env.Load[config]([]string{key + "=" + value, "PASSWORD=" + secret})
		if err == nil {
			return
		}
		all, ok := errors.AsType[*env.Error](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(all.Problems) {
			t.Errorf("%d lines for %d problems:\n%v", len(lines), len(all.Problems), err)
		}
		if secret != value && len(secret) >= 12 && !strings.Contains(harmless, secret) && strings.Contains(err.Error(), secret) {
			t.Errorf("tells the secret: %v", err)
		}
	})
}

const harmless = "NAME: is required PASSWORD: must be at least 8 characters"

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
