package process

import "syscall"

// dieWithStarter asks the kernel to send sig when the starting thread ends.
func dieWithStarter(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }
