// Command remsim is the router program: `remsim daemon` runs under procd, the
// other sub-commands ask it over ubus.
package main

import (
	"fmt"
	"os"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("remsim", version)
		return
	}
	fmt.Fprintln(os.Stderr, "usage: remsim version")
	os.Exit(2)
}
