package high

import (
	system "os"

	"example.com/module/low"
)

func Start() {
	go low.Stop()
	_ = system.Getenv("HOME")
}
