package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/secrets"
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
		err = folder.rotate(names)
	case "prune":
		err = folder.prune(names)
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
	if err := secrets.Folder(string(f)); err != nil {
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
	return f.publish(nil)
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

// rotate puts a new key in front of those of each name. The public keys come first: a service
// that starts in between finds its own among them.
func (f keyFolder) rotate(names []string) error {
	changed := map[string]string{}
	for _, name := range names {
		old, err := os.ReadFile(f.path(name))
		if err != nil {
			return err
		}
		changed[name] = string(serviceauth.NewPrivateKey()) + string(old)
	}
	return errors.Join(f.publish(changed), f.replace(changed))
}

// prune keeps only the first key of each name, which is the one that signs.
func (f keyFolder) prune(names []string) error {
	changed := map[string]string{}
	for _, name := range names {
		old, err := os.ReadFile(f.path(name))
		if err != nil {
			return err
		}
		first, _ := pem.Decode(old)
		if first == nil {
			return fmt.Errorf("%s has no key", f.path(name))
		}
		changed[name] = string(pem.EncodeToMemory(first))
	}
	if err := f.replace(changed); err != nil {
		return err
	}
	return f.publish(nil)
}

// replace writes the private keys of names.
func (f keyFolder) replace(keys map[string]string) error {
	for name, text := range keys {
		if err := replaceFile(f.path(name), text); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file in one step: a reader gets the old text or the new one.
func replaceFile(path, text string) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), fileMode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// publish writes the public keys of all private keys in the folder, in which changed, by
// name, stands for the content of files.
func (f keyFolder) publish(changed map[string]string) error {
	keys, err := f.public(changed)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, key := range keys {
		lines.WriteString(key.String() + "\n")
	}
	return replaceFile(filepath.Join(string(f), publicKeys), lines.String())
}

// public returns the public keys that publish writes.
func (f keyFolder) public(changed map[string]string) ([]serviceauth.PublicKey, error) {
	files, err := filepath.Glob(f.path("*"))
	if err != nil {
		return nil, err
	}
	var keys []serviceauth.PublicKey
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".pem")
		text, known := changed[name]
		if !known {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			text = string(content)
		}
		own, err := serviceauth.PublicKeys(name, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, own...)
	}
	return keys, nil
}

// list prints the keys of names: who signs, the key's id in tokens, and whether it signs.
func (f keyFolder) list(a *app, names []string) error {
	keys, err := f.public(nil)
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
