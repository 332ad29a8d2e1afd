//go:build !linux

package process

import "syscall"

// withParent does nothing here: only Linux can do it.
func withParent() *syscall.SysProcAttr { return nil }
