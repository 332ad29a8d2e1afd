package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// publicKeys is the file of a folder of keys that has the public keys of all, as
// SERVICE_PUBLIC_KEYS_FILE reads it. The private ones are in NAME.pem, for SERVICE_KEY_FILE.
const publicKeys = "public-keys"

// accessTokens is the file of a folder of keys that USER_TOKEN_KEY_FILE of user-service reads.
// It is no .pem, because its key signs no service tokens.
const accessTokens = "access-tokens.key"

var keyVerbs = []string{"make", "list", "rotate", "prune"}

// keys makes, lists and changes the keys that services sign tokens with.
func (a *app) keys(_ context.Context, args []string) error {
	fs := a.flags("keys")
	dir := fs.String("dir", a.keyDir(), "")
	rest, err := a.parse(fs, args, 1, 100)
	if err != nil {
		return err
	}
	verb, names := rest[0], rest[1:]
	for _, name := range names {
		if !env.IsServiceName(name) {
			return fmt.Errorf("keys: %q is not the name of a service: %w", name, errUsage)
		}
	}
	if len(names) == 0 {
		names = a.signers()
	}
	folder := keyFolder(*dir)
	switch verb {
	case "make":
		err = folder.make(names)
	case "rotate":
		err = folder.change(names, func(old string) string { return string(serviceauth.NewPrivateKey()) + old })
	case "prune":
		err = folder.change(names, firstKey)
	case "list":
	default:
		return fmt.Errorf("keys: no verb %q: %w", verb, errUsage)
	}
	if err != nil {
		return err
	}
	return folder.list(a, names)
}

// keyDir is the folder of keys: STACK_KEYS, or that of stack secrets.
func (a *app) keyDir() string {
	if dir := a.Environ.Get("STACK_KEYS"); dir != "" {
		return dir
	}
	return filepath.Join(a.Root, "deploy", "secrets")
}

// signers returns who signs tokens: the services, the gateway and the operator.
func (a *app) signers() []string {
	names := []string{"gateway", serviceauth.Operator}
	for _, s := range a.Services {
		names = append(names, s.Name)
	}
	return names
}

// fileMode lets containers read the files as other users; the folder keeps out those of this machine.
const fileMode = 0o644

// keyFolder is a folder of keys.
type keyFolder string

func (f keyFolder) path(name string) string { return filepath.Join(string(f), name+".pem") }

// make makes a key for each name. It is an error if there is one.
func (f keyFolder) make(names []string) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	for _, name := range names {
		err := create(f.path(name))
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s has a key already; rotate replaces it", name)
		}
		if err != nil {
			return err
		}
	}
	err := create(filepath.Join(string(f), accessTokens))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.publish()
}

// create writes a new key into a new file.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = file.Write(serviceauth.NewPrivateKey())
	return errors.Join(err, file.Close())
}

// change replaces the private keys of each name by what edit makes of them.
func (f keyFolder) change(names []string, edit func(string) string) error {
	for _, name := range names {
		old, err := os.ReadFile(f.path(name))
		if err != nil {
			return err
		}
		// A new file under the same name: a reader gets the old keys or the new ones.
		temporary := f.path(name) + ".new"
		if err := os.WriteFile(temporary, []byte(edit(string(old))), fileMode); err != nil {
			return err
		}
		if err := os.Rename(temporary, f.path(name)); err != nil {
			return err
		}
	}
	return f.publish()
}

// firstKey returns the first of the private keys in text, which is the one that signs.
func firstKey(text string) string {
	const end = "-----END PRIVATE KEY-----\n"
	first, _, _ := strings.Cut(text, end)
	return first + end
}

// publish writes the public keys of all private keys in the folder.
func (f keyFolder) publish() error {
	keys, err := f.public()
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, key := range keys {
		lines.WriteString(key.String() + "\n")
	}
	return os.WriteFile(filepath.Join(string(f), publicKeys), []byte(lines.String()), fileMode)
}

// public returns the public keys of all private keys in the folder.
func (f keyFolder) public() ([]serviceauth.PublicKey, error) {
	files, err := filepath.Glob(f.path("*"))
	if err != nil {
		return nil, err
	}
	var keys []serviceauth.PublicKey
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		own, err := serviceauth.PublicKeys(strings.TrimSuffix(filepath.Base(file), ".pem"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, own...)
	}
	return keys, nil
}

// list prints the keys of names: who signs, the key's id in tokens, and whether it signs.
func (f keyFolder) list(a *app, names []string) error {
	keys, err := f.public()
	if err != nil {
		return err
	}
	last := ""
	for _, key := range keys {
		if !slices.Contains(names, key.Service) {
			continue
		}
		use := "signs"
		if key.Service == last {
			use = "is still accepted"
		}
		fmt.Fprintf(a.out, "%-16s %s %s\n", key.Service, key.ID(), use)
		last = key.Service
	}
	if last == "" {
		return fmt.Errorf("no keys in %s; bin/stack keys make makes them", f)
	}
	return nil
}
