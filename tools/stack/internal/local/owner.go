package local

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// dataOwner returns the user that Postgres and Redis run as, nil for the own one:
// Postgres does not run as root.
func dataOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
		}
	}
	return nil, errors.New("root may not run Postgres, and there is no user postgres or nobody")
}

func mkdir(path string, owner *syscall.Credential) error {
	return errors.Join(os.Mkdir(path, 0o700), chown(path, owner))
}

func writeFile(path, text string, owner *syscall.Credential) error {
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), chown(path, owner))
}

func chown(path string, owner *syscall.Credential) error {
	if owner == nil {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
