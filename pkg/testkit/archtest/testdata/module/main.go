package main

import "example.com/module/high"

func main() { high.Start() }
