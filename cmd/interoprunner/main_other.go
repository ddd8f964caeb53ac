//go:build !linux

package main

import "fmt"

func main() { fmt.Println("SKIPPED: the interop cases, which need Linux") }
