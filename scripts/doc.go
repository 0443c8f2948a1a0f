//go:build ignore

// Scripts are what the Makefile and .ci/run call.
//
// They own set-up of tools and checks of the tree. They do not own anything the
// product runs. obtain_postgres.go is run with `go run`, to find or obtain PostgreSQL
// by the product's own rules.
//
// Invariants: each works as root or not, says what it installs before it does, and is
// fast when nothing is to be done.
package main
