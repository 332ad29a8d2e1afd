package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// logReader reads a part's log. Beyond its end the reader goes on where the log grows.
type logReader struct {
	part string
	file *os.File
	*bufio.Reader
	begun string // a line that has not ended yet
}

// copyLines writes the lines that have ended, each with the part's name before it.
func (r *logReader) copyLines(out io.Writer) error {
	for {
		text, err := r.ReadString('\n')
		r.begun += text
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = fmt.Fprintf(out, "%-18s| %s", r.part, r.begun)
		}
		if err != nil {
			return err
		}
		r.begun = ""
	}
}

// Logs writes the logs of a stack below its run folder: those of the named
// part, or of all. With follow it goes on until ctx ends or the stack does.
func Logs(ctx context.Context, dir string, out io.Writer, follow bool, name string) error {
	var readers []*logReader
	defer func() {
		for _, r := range readers {
			_ = r.file.Close()
		}
	}()
	opened := map[string]bool{}
	for {
		files, _ := filepath.Glob(filepath.Join(dir, "logs", "*.log"))
		for _, file := range files {
			part := strings.TrimSuffix(filepath.Base(file), ".log")
			service := strings.TrimRight(part, "-0123456789")
			if opened[file] || name != "" && !(stack.Part{Name: part, Service: service}).Is(name) {
				continue
			}
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			opened[file] = true
			readers = append(readers, &logReader{part: part, file: f, Reader: bufio.NewReader(f)})
		}
		if readers == nil {
			return fmt.Errorf("no part named %q has a log", name)
		}
		for _, r := range readers {
			if err := r.copyLines(out); err != nil {
				return err
			}
		}
		if _, err := os.Stat(dir); !follow || err != nil || ctx.Err() != nil {
			return nil
		}
		pause(ctx, 200*time.Millisecond)
	}
}
