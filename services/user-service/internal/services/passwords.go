package services

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/text"
)

// Rules of passwords (NIST SP 800-63B-4, 3.1.1.2): a length, and none of the most common
// ones; no rules of composition.
const (
	minPassword = 8 // characters, after normalization
	maxPassword = 128

	errPasswordLength = text.Error("must have 8 to 128 characters")
	errPasswordCommon = text.Error("is one of the most common passwords")
)

//go:embed common_passwords.txt
var commonPasswords string

// NormalizePassword returns the password in Normalization Form KC, in which all spellings
// of the same characters are equal. A password that is too long to be one is cut off.
func NormalizePassword(password string) string {
	const enough = 16 * maxPassword // bytes
	return norm.NFKC.String(password[:min(len(password), enough)])
}

// CheckPassword returns a description of what is wrong with a new password, which is
// normalized.
func CheckPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < minPassword || n > maxPassword:
		return errPasswordLength
	case slices.Contains(strings.Fields(commonPasswords), strings.ToLower(password)):
		return errPasswordCommon
	}
	return nil
}

// Parameters of argon2id (RFC 9106): the first choice of OWASP's Password Storage Cheat Sheet.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	saltSize     = 16
	hashSize     = 32
)

// unknownHash has the cost of a hash, for accounts that do not exist.
var unknownHash = format(make([]byte, saltSize), make([]byte, hashSize))

// ErrHashing is the error of a service that has more passwords to hash than it can.
var ErrHashing = fault.New(fault.Unavailable, fault.CodeOverloaded, "Too many requests at once").WithRetryAfter(time.Second)

const hashWait = 2 * time.Second

// passwords hashes passwords, a few at a time: each takes 19 MiB and some 20 ms of a CPU. It
// is safe for concurrent use.
type passwords struct{ turns chan struct{} }

func newPasswords() passwords { return passwords{make(chan struct{}, runtime.GOMAXPROCS(0))} }

// hash returns the hash of a password, which is normalized, in the PHC string format.
func (p passwords) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // does not fail
	key, err := p.derive(ctx, password, salt, argonTime, argonMemory, argonThreads)
	if err != nil {
		return "", err
	}
	return format(salt, key), nil
}

// matches reports whether encoded is the hash of password.
func (p passwords) matches(ctx context.Context, encoded, password string) (bool, error) {
	var memory, passes uint32
	var threads uint8
	var rest string
	_, err := fmt.Sscanf(encoded, "$argon2id$v=19$m=%d,t=%d,p=%d$%s", &memory, &passes, &threads, &rest)
	saltText, keyText, _ := strings.Cut(rest, "$")
	salt, badSalt := base64.RawStdEncoding.DecodeString(saltText)
	want, badKey := base64.RawStdEncoding.DecodeString(keyText)
	if err != nil || badSalt != nil || badKey != nil || len(want) != hashSize {
		return false, fmt.Errorf("password hash is not argon2id with %d bytes", hashSize)
	}
	key, err := p.derive(ctx, password, salt, passes, memory, threads)
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1, err
}

// derive waits for its turn, at most two seconds.
func (p passwords) derive(ctx context.Context, password string, salt []byte, passes, memory uint32, threads uint8) ([]byte, error) {
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(hashWait):
		return nil, ErrHashing
	}
	return argon2.IDKey([]byte(password), salt, passes, memory, threads, hashSize), nil
}

func format(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}
