package process

import "syscall"

// withParent has a child die with its parent, however that one ends.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
