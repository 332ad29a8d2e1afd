package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-troika/troika/tools/stack/internal/secrets"
)

// secrets makes the files that deploy/production.yml reads, and leaves those that exist.
func (a *app) secrets(_ context.Context, args []string) error {
	fs := a.flags("secrets")
	dir := fs.String("dir", filepath.Join(a.Root, "deploy", "secrets"), "")
	if _, err := a.parse(fs, args, 0, 0); err != nil {
		return err
	}
	files, err := secrets.Redis(a.Root, "redis")
	if err != nil {
		return err
	}
	for _, s := range a.Services {
		files["db-password-"+s.Name] = rand.Text()
	}
	written, err := secrets.Write(*dir, files)
	slices.Sort(written)
	for _, name := range written {
		fmt.Fprintln(a.out, filepath.Join(*dir, name))
	}
	if err != nil {
		return err
	}
	folder, missing := keyFolder(*dir), []string(nil)
	for _, name := range a.signers() {
		if _, err := os.Stat(folder.path(name)); err != nil {
			missing = append(missing, name)
		}
	}
	if err := folder.make(missing); err != nil || len(missing) == 0 {
		return err
	}
	return folder.list(a, missing)
}
