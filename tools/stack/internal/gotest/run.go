package gotest

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/process"
)

const grace = 10 * time.Second

// Options say which tests to run, and how.
type Options struct {
	Root     string     // the workspace
	Suites   [][]string // package patterns; one suite runs after the other
	Run      string     // as go test -run; "" runs all
	Short    bool       // as go test -short
	Env      []string   // the whole environment
	Out      io.Writer
	TrimName string // prefix left out of package names
}

// Run vets and tests all suites with the race detector and answers how many
// tests ended how. The error tells of what kept tests from running at all.
func Run(ctx context.Context, k *process.Keeper, o Options) (Count, error) {
	reader := &Reader{Out: o.Out, Trim: o.TrimName}
	for _, patterns := range o.Suites {
		// With -race, so that vet reads what the tests' compilation leaves.
		vet := append([]string{"vet", "-race"}, patterns...)
		if err := k.Run(ctx, process.Spec{Path: "go", Args: vet, Dir: o.Root, Env: o.Env, Out: o.Out}); err != nil {
			if ctx.Err() != nil {
				return reader.Total, ctx.Err()
			}
			fmt.Fprintf(o.Out, "FAIL  go vet %s: %v\n", strings.Join(patterns, " "), err)
			reader.Total.Failed++
		}
		if err := test(ctx, k, o, reader, patterns); err != nil {
			return reader.Total, err
		}
	}
	for _, skip := range reader.Skips {
		fmt.Fprintf(o.Out, "skip  %s\n", skip)
	}
	return reader.Total, nil
}

func test(ctx context.Context, k *process.Keeper, o Options, reader *Reader, patterns []string) error {
	args := []string{"test", "-race", "-json", "-timeout=30m"}
	if o.Run != "" {
		args = append(args, "-run="+o.Run)
	}
	if o.Short {
		args = append(args, "-short")
	}
	events, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer events.Close()
	p, err := k.Start(process.Spec{Path: "go", Args: append(args, patterns...), Dir: o.Root, Env: o.Env, Out: out})
	_ = out.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { p.Stop(syscall.SIGTERM, grace) })
	defer stop()
	failed := reader.Total.Failed
	read := reader.Read(events)
	err = p.Wait(ctx, grace)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && reader.Total.Failed == failed {
		return fmt.Errorf("go test: %w", err)
	}
	return read
}
