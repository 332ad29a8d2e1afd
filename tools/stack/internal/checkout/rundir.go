package checkout

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrRunning says that a stack of that name is up already.
var ErrRunning = errors.New("already running")

// reaperTime is longer than a reaper needs to end what a killed stack left.
const reaperTime = 11 * time.Second

// RunDir is the folder of one running stack: data, logs and the control socket.
// Its path follows from the checkout and the stack's name alone, so that every
// invocation finds it; it lies outside the checkout.
type RunDir struct {
	Path string
	lock *os.File
}

// RunPath returns the path of the run folder of the calling user's named stack
// of root.
func RunPath(root, name string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", os.Geteuid(), root))
	return filepath.Join(runBase(), fmt.Sprintf("stack-%x-%s", sum[:4], name))
}

// runBase is the temporary folder, or /tmp where root's own is closed to the
// other user that Postgres must run as.
func runBase() string {
	base := os.TempDir()
	if os.Geteuid() != 0 {
		return base
	}
	for d := base; ; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err != nil || info.Mode()&0o001 == 0 {
			return "/tmp"
		}
		if d == filepath.Dir(d) {
			return base
		}
	}
}

// Socket returns the path of the control socket.
func (d *RunDir) Socket() string { return SocketIn(d.Path) }

// SocketIn returns the path of the control socket in a run folder.
func SocketIn(path string) string { return filepath.Join(path, "control.sock") }

// Claim makes the run folder of the named stack and holds it by a lock until the
// process ends. A folder without a living owner is cleared first; with one,
// the answer is [ErrRunning]. guard and release are told of every path before it
// exists and when it does no longer.
func Claim(path string, guard, release func(string)) (*RunDir, error) {
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	guard(fresh)
	defer release(fresh)
	d := &RunDir{Path: path}
	if err := d.prepare(fresh); err != nil {
		return nil, err
	}
	for range 2 {
		err := os.Rename(fresh, path)
		if err == nil {
			guard(path)
			return d, nil
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return nil, errors.Join(err, os.RemoveAll(fresh))
		}
		if err := clearAbandoned(path); err != nil {
			return nil, errors.Join(err, os.RemoveAll(fresh))
		}
	}
	return nil, errors.Join(ErrRunning, os.RemoveAll(fresh))
}

// prepare makes the folder under a name of its own and takes its lock there.
func (d *RunDir) prepare(fresh string) error {
	if err := os.Mkdir(fresh, 0o711); err != nil { // 711: Postgres' user passes through
		return err
	}
	if err := os.Chmod(fresh, 0o711); err != nil { // whatever the umask
		return err
	}
	if err := os.Mkdir(filepath.Join(fresh, "logs"), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(fresh, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	d.lock = lock
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// clearAbandoned removes a folder whose owner is dead. It first leaves the
// owner's reaper, which may be at work, the time to do so itself.
func clearAbandoned(path string) error {
	for deadline := time.Now().Add(reaperTime); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		lock, err := os.Open(filepath.Join(path, "lock"))
		if errors.Is(err, fs.ErrNotExist) {
			return os.RemoveAll(path) // nothing is started before the lock is there
		}
		if err != nil {
			return err
		}
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		_ = lock.Close()
		if err != nil {
			return ErrRunning
		}
	}
	return os.RemoveAll(path)
}

// Remove deletes the folder and all in it.
func (d *RunDir) Remove() error {
	return errors.Join(os.RemoveAll(d.Path), d.lock.Close())
}

// OwnedByUs reports whether path is a folder that belongs to the calling user, so
// that nobody else's socket is taken for a stack's.
func OwnedByUs(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
