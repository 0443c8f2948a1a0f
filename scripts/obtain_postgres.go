//go:build ignore

// Finds PostgreSQL the way the demo and the tests do, or installs it:
//
//	go run scripts/obtain_postgres.go [-find]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"tollbook/db/postgres"
)

func main() {
	find := flag.Bool("find", false, "only look")
	flag.Parse()
	dir, err := postgres.ObtainBinaries(context.Background(), !*find, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
