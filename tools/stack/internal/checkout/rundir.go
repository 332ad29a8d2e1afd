package checkout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrRunning is the error if a stack of that name is up already.
var ErrRunning = errors.New("already running")

// reaperTime is longer than a reaper needs to end what a killed stack left.
const reaperTime = 11 * time.Second

// RunDir is the folder of one running stack: data, logs and the control socket.
// Its path follows from the checkout and the stack's name alone, so that every
// invocation finds it; it lies outside the checkout.
type RunDir struct {
	Path string
	Lock *os.File // the folder itself, locked
}

// RunPath returns the path of the run folder of the calling user's named stack
// of root.
func RunPath(root, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", os.Geteuid(), root))
	base := os.TempDir()
	if os.Geteuid() == 0 {
		base = "/tmp" // root's own may be closed to the user that Postgres runs as
	}
	return filepath.Join(base, fmt.Sprintf("stack-%x-%s", sum[:4], name))
}

// SocketIn returns the path of the control socket in a run folder.
func SocketIn(path string) string { return filepath.Join(path, "control.sock") }

// Claim makes the run folder at path, or takes over one that a killed stack left, and
// locks it until the process and its reaper end. It waits for the reaper of a killed
// stack. The error is [ErrRunning] if the folder stays locked.
func Claim(ctx context.Context, path string) (*RunDir, error) {
	ctx, cancel := context.WithTimeout(ctx, reaperTime)
	defer cancel()
	for {
		if err := os.Mkdir(path, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		lock, err := lockDir(path)
		if err == nil {
			d := &RunDir{Path: path, Lock: lock}
			return d, d.empty()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ErrRunning
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lockDir locks the folder at path. The error is [fs.ErrNotExist] if it was removed
// meanwhile.
func lockDir(path string) (*os.File, error) {
	if _, err := os.Lstat(path); err == nil && !OwnedByUs(path) {
		return nil, fmt.Errorf("%s is not a folder of this user", path)
	}
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		var locked, there os.FileInfo
		if locked, err = lock.Stat(); err == nil {
			there, err = os.Lstat(path)
		}
		if err == nil && os.SameFile(locked, there) {
			return lock, nil
		}
		err = errors.Join(err, fs.ErrNotExist)
	}
	return nil, errors.Join(err, lock.Close())
}

// empty removes what a killed stack left in the folder.
func (d *RunDir) empty() error {
	entries, err := os.ReadDir(d.Path)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.Path, e.Name())))
	}
	// 711 independent of the umask: Postgres' user passes through.
	return errors.Join(err, os.Chmod(d.Path, 0o711), os.Mkdir(filepath.Join(d.Path, "logs"), 0o700))
}

// Remove deletes the folder and all in it.
func (d *RunDir) Remove() error {
	return errors.Join(os.RemoveAll(d.Path), d.Lock.Close())
}

// OwnedByUs reports whether path is a folder of the calling user. Another user could
// have made one to be taken for a stack's.
func OwnedByUs(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
