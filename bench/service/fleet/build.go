package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/go-troika/troika/"

// Flags are those that the services' images are built with.
var Flags = []string{
	"-tags=nomsgpack,grpcnotrace,validator_novalidatefn", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
}

// Build compiles the services and the floor into dir.
func Build(ctx context.Context, dir string) error {
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, Flags...)
	for _, s := range services {
		args = append(args, module+"services/"+s.name)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, module+"bench/cmd/services/floor")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
