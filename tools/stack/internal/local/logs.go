package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/world"
)

// Logs writes the logs of a stack below its run folder: those of the named
// part, or of all. With follow it goes on until ctx ends or the stack does.
func Logs(ctx context.Context, dir string, out io.Writer, follow bool, name string) error {
	read := map[string]*os.File{}
	defer func() {
		for _, f := range read {
			_ = f.Close()
		}
	}()
	for {
		files, _ := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
		for _, file := range files {
			part := strings.TrimSuffix(filepath.Base(file), ".log")
			if name != "" && !meant(part, name) || read[part] != nil {
				continue
			}
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			read[part] = f
		}
		if len(read) == 0 {
			return fmt.Errorf("no part named %q has a log", name)
		}
		for _, part := range slices.Sorted(maps.Keys(read)) {
			if err := copyLines(out, read[part], part); err != nil {
				return err
			}
		}
		if _, err := os.Stat(dir); !follow || err != nil || ctx.Err() != nil {
			return nil
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// meant reports whether name means the part: itself, or its service.
func meant(part, name string) bool {
	return world.Part{Name: part, Service: strings.TrimRight(part, "-0123456789")}.Is(name)
}

// copyLines writes the whole lines that are new in f, each with the part's name
// before it, and leaves a last line that is not ended for the next time.
func copyLines(out io.Writer, f *os.File, part string) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			_, err = f.Seek(at, io.SeekStart)
			return err
		}
		if err != nil {
			return err
		}
		at += int64(len(line))
		if _, err := fmt.Fprintf(out, "%-18s| %s", part, line); err != nil {
			return err
		}
	}
}
