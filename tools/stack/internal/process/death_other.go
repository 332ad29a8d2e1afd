//go:build !linux

package process

import "syscall"

// dieWithStarter has no counterpart here; the reaper does it alone.
func dieWithStarter(*syscall.SysProcAttr, syscall.Signal) {}
